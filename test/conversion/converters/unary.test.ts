import { testCases } from "../harness.js";

testCases("unary");
