import { testCases } from "../harness.js";

testCases("creation");
