import t from "tap";
import { Network } from "../../src/network/network.js";
import { makeWeights } from "../../src/network/weights.js";

const weights = (dims: readonly number[]) =>
  makeWeights("kFLOAT", dims, new Array<number>(dims.reduce((a, b) => a * b)).fill(0));

t.test("a convolution's channels are those of its kernel, as an attribute and as a tensor", async (t) => {
  const network = new Network();
  const x = network.addInput("x", "kFLOAT", [1, 4, 8, 8]);
  const kernel = weights([6, 3, 3, 3]);
  const wrong = { code: "conversion", message: "the convolution takes 3 channels, its input kFLOAT[1, 4, 8, 8] has 4" };
  t.throws(() => network.addConvolutionNd(x, 6, [3, 3], kernel, null), wrong);
  t.throws(() => network.addConvolutionNd(x, 6, [3, 3], network.addConstant(kernel), null), wrong);
  t.throws(() => network.addConvolutionNd(x, 6, [3, 3], kernel, null, { nbGroups: 2 }), {
    message: "the convolution takes 6 channels in 2 groups, its input kFLOAT[1, 4, 8, 8] has 4",
  });
  t.throws(() => network.addDeconvolutionNd(x, 6, [3, 3], weights([3, 6, 3, 3]), null), {
    message: "the deconvolution takes 3 channels, its input kFLOAT[1, 4, 8, 8] has 4",
  });
  t.same(network.addConvolutionNd(x, 6, [3, 3], weights([6, 2, 3, 3]), null, { nbGroups: 2 }).dims, [1, 6, 6, 6]);
  t.same(network.addDeconvolutionNd(x, 6, [3, 3], weights([4, 3, 3, 3]), null, { nbGroups: 2 }).dims, [1, 6, 10, 10]);
});
