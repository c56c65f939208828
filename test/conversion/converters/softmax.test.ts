import { testCases } from "../harness.js";

testCases("softmax");
