import { testCases } from "../harness.js";

testCases("convolution", "pooling", "normalization", "matmul", "resize", "attention", "recurrent");
