import { testCases } from "./harness.js";

testCases("losses", "linear-algebra", "statistics", "special");
