import { testCases } from "../harness.js";

testCases("sampling", "detection");
