import { testCases } from "../harness.js";

testCases("complex", "fourier");
