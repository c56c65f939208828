import { testCases } from "../harness.js";

testCases("pad", "fold");
