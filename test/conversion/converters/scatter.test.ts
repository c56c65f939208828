import { testCases } from "../harness.js";

testCases("scatter");
