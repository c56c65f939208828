import { testCases } from "../harness.js";

testCases("quantize", "sampling", "detection");
