import { testCases } from "../harness.js";

testCases("evaluators");
