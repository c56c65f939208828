import { testCases } from "../harness.js";

testCases("quantize");
