import { testCases } from "../harness.js";

testCases("scan");
