import { testCases } from "../harness.js";

testCases("grouped");
