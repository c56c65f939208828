import t from "tap";
import { largestMagnitude, repeatsAlong } from "../../src/network/analysis.js";
import type { DataType } from "../../src/network/enums.js";
import type { ITensor } from "../../src/network/layers.js";
import { Network } from "../../src/network/network.js";
import { makeWeights } from "../../src/network/weights.js";

function constant(network: Network, type: DataType, dims: readonly number[], numbers: readonly number[]): ITensor {
  return network.addConstant(makeWeights(type, dims, numbers));
}

t.test("what repeats along an axis", (t) => {
  const network = new Network();
  const column = network.addInput("column", "kBOOL", [3, 1]);
  const whole = network.addInput("whole", "kBOOL", [3, 2]);
  t.ok(repeatsAlong(column, 1), "one element");
  t.notOk(repeatsAlong(column, 0));
  const stretched = network.addSlice(column, [0, 0], [3, 2], [1, 0]);
  t.ok(repeatsAlong(stretched, 1));
  t.notOk(repeatsAlong(network.addSlice(whole, [0, 0], [2, 2], [1, 1]), 1));
  t.ok(repeatsAlong(network.addSlice(stretched, [1, 0], [2, 2], [1, 1]), 1), "a part of what does");
  const nothing = constant(network, "kBOOL", [], [0]);
  t.notOk(
    repeatsAlong(network.addSlice(stretched, [0, 0], [3, 4], [1, 1], "kFILL", nothing), 1),
    "filled behind its end",
  );
  const rows = constant(network, "kBOOL", [3, 2], [1, 1, 0, 0, 1, 1]);
  t.ok(repeatsAlong(rows, 1));
  t.notOk(repeatsAlong(rows, 0));
  t.ok(repeatsAlong(constant(network, "kFLOAT", [2, 2, 2], [1, 2, 1, 2, 3, 4, 3, 4]), 1), "an axis in between");
  t.ok(repeatsAlong(network.addUnary(network.addElementWise(stretched, rows, "kAND"), "kNOT"), 1));
  t.notOk(repeatsAlong(network.addElementWise(stretched, whole, "kAND"), 1));
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
