import { testCases } from "../harness.js";

testCases("reduce");
