import { testCases } from "../harness.js";

testCases("view", "permute", "expand", "concat");
