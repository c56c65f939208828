import { testCases } from "../harness.js";

testCases("cast");
