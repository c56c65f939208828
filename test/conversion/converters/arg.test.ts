import { testCases } from "../harness.js";

testCases("arg");
