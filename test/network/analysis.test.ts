import t from "tap";
import { isIota, isTrue, largestMagnitude } from "../../src/network/analysis.js";
import type { DataType } from "../../src/network/enums.js";
import type { ITensor } from "../../src/network/layers.js";
import { Network } from "../../src/network/network.js";
import { makeWeights } from "../../src/network/weights.js";

function constant(network: Network, type: DataType, dims: readonly number[], numbers: readonly number[]): ITensor {
  return network.addConstant(makeWeights(type, dims, numbers));
}

t.test("positions in order", (t) => {
  const network = new Network();
  const batch = network.addDynamicInput("x", "kFLOAT", [{ min: 1, opt: 2, max: 8 }]).dims;
  const [zero, one] = [constant(network, "kINT64", [], [0]), constant(network, "kINT64", [1], [1])];
  const filled = network.addFill(batch, "kLINSPACE", "kINT64", zero, one);
  const of = (...numbers: number[]): ITensor => constant(network, "kINT64", [numbers.length], numbers);
  const row = network.addShuffle(filled, { reshape: [1, -1] });
  for (const [what, tensor] of Object.entries({
    constants: of(0, 1, 2),
    "as many as a size": filled,
    "in another shape": row,
    "from an offset of 0": network.addElementWise(filled, of(0), "kSUM"),
    "in another type": network.addCast(filled, "kINT32"),
  }))
    t.ok(isIota(tensor), what);
  for (const [what, tensor] of Object.entries({
    "other numbers": of(0, 2, 1),
    "from 1": network.addElementWise(filled, of(1), "kSUM"),
    "in steps of 2": network.addFill(batch, "kLINSPACE", "kINT64", zero, of(2)),
    transposed: network.addShuffle(constant(network, "kINT64", [2, 2], [0, 1, 2, 3]), { firstTranspose: [1, 0] }),
    "an input": network.addInput("i", "kINT64", [3]),
  }))
    t.notOk(isIota(tensor), what);

  const less = (number: number): ITensor =>
    network.addElementWise(row, constant(network, "kINT64", [1, 1], [number]), "kLESS");
  t.ok(isTrue(network.addUnary(less(0), "kNOT")), "no place is less than 0");
  t.notOk(isTrue(network.addUnary(less(1), "kNOT")));
  t.notOk(isTrue(less(0)));
  t.ok(isTrue(constant(network, "kBOOL", [2], [1, 1])));
  t.notOk(isTrue(constant(network, "kBOOL", [2], [1, 0])));
  t.end();
});

t.test("how far from 0 a tensor can be", (t) => {
  const network = new Network();
  const of = (numbers: readonly number[]): ITensor => constant(network, "kFLOAT", [numbers.length], numbers);
  const mask = network.addCast(network.addInput("mask", "kINT64", [2]), "kFLOAT");
  const hidden = network.addCast(mask, "kBOOL");
  const lowest = of([-3.4028234663852886e38, -3.4028234663852886e38]);
  t.equal(largestMagnitude(of([-3, 2])), 3);
  t.equal(largestMagnitude(mask), 2 ** 63);
  t.equal(largestMagnitude(network.addCast(hidden, "kFLOAT")), 1);
  const inverted = network.addElementWise(of([1, 1]), mask, "kSUB");
  t.equal(
    largestMagnitude(network.addSelect(hidden, lowest, inverted)),
    3.4028234663852886e38,
    "filled with a finite number",
  );
  t.equal(largestMagnitude(network.addElementWise(inverted, of([2, 4]), "kPROD")), 4 * (1 + 2 ** 63));
  for (const [what, tensor] of Object.entries({
    "an input": network.addInput("x", "kFLOAT", [2]),
    "a NaN": of([Number.NaN, 1]),
    "an infinity": of([1, Number.NEGATIVE_INFINITY]),
    "a product beyond float32": network.addElementWise(lowest, mask, "kPROD"),
    "a number beyond a half": network.addCast(lowest, "kHALF"),
    "a number beyond bfloat16": network.addCast(lowest, "kBF16"),
    "a quotient": network.addElementWise(mask, mask, "kDIV"),
  }))
    t.equal(largestMagnitude(tensor), Number.POSITIVE_INFINITY, what);
  t.end();
});
