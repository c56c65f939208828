import { testCases } from "../harness.js";

testCases("comparison");
