import type { DataType } from "../../../src/network/enums.js";
import { Network } from "../../../src/network/network.js";
import { makeWeights } from "../../../src/network/weights.js";

/** `count` convolutions of 64 channels over 56 × 56: about 10 ms of TensorRT-RTX's time each. */
export function convolutions(count: number, batch: number | { min: number; opt: number; max: number } = 1): Network {
  const network = new Network();
  const numbers = Array.from({ length: 64 * 64 * 9 }, (_, i) => Math.sin(i) / 24);
  const kernel = makeWeights("kFLOAT", [64, 64, 3, 3], numbers);
  let x = network.addDynamicInput("x", "kFLOAT", [batch, 64, 56, 56]);
  for (let i = 0; i < count; i++) {
    x = network.addActivation(network.addConvolutionNd(x, 64, [3, 3], kernel, null, { prePadding: [1, 1] }), "kRELU");
  }
  network.markOutput(x, "y");
  return network;
}

/** `y = x @ w + 1`, with the weights given. */
export function linear(values: Uint8Array, rows: number, columns: number, type: DataType = "kFLOAT"): Network {
  const network = new Network();
  const x = network.addInput("x", type, [1, columns]);
  const w = network.addConstant({ type, dims: [rows, columns], values });
  const product = network.addMatrixMultiply(x, "kNONE", w, "kTRANSPOSE");
  network.markOutput(network.addElementWise(product, network.addConstant(makeWeights(type, [1, 1], [1])), "kSUM"), "y");
  return network;
}
