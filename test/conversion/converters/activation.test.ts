import { testCases } from "../harness.js";

testCases("activation");
