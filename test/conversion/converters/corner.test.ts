import { testCases } from "../harness.js";

testCases("corner");
