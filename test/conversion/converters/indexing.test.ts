import { testCases } from "../harness.js";

testCases("gather", "embedding-bag");
