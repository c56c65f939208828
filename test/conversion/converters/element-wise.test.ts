import { testCases } from "../harness.js";

testCases("element-wise");
