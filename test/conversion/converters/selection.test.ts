import { testCases } from "../harness.js";

testCases("split", "select", "rearrange");
