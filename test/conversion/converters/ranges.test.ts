import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import t from "tap";
import { execute } from "../../../src/backends/onnx/runtime.js";
import { convert } from "../../../src/conversion/convert.js";
import { defaultRegistry } from "../../../src/conversion/default-registry.js";
import type { InputSpec } from "../../../src/ir/input-spec.js";
import { parseIR } from "../../../src/ir/parser.js";
import { Tensor } from "../../../src/ir/tensor.js";
import { TensorType } from "../../../src/ir/type.js";
import { functionalize } from "../../../src/lowering/functionalize.js";
import { LoweringReport } from "../../../src/lowering/report.js";
import type { Network } from "../../../src/network/network.js";
import { readNpz } from "../../../src/util/npz.js";
import { type Case, casesFolder, type InputEntry, readCases } from "../cases.js";

const FAMILIES = [
  "view",
  "permute",
  "expand",
  "concat",
  "split",
  "select",
  "rearrange",
  "gather",
  "embedding-bag",
  "scatter",
  "pad",
  "fold",
  "sampling",
];

const registry = defaultRegistry();

/**
 * A network with ranges gives, at sizes it was not recorded with, what a network for just these sizes gives: the clamps
 * of slices, the last pieces of splits, wraps and windows hold at both ends of their ranges. Networks for fixed sizes are
 * held against PyTorch elsewhere.
 */
for (const family of FAMILIES) {
  t.test(family, async (t) => {
    const recorded = new URL(`${family}.npz`, casesFolder());
    const arrays = existsSync(recorded) ? readNpz(fileURLToPath(recorded)) : new Map<string, Tensor>();
    for (const entry of readCases(family)) {
      if (entry.error !== undefined || entry.dynamic !== undefined) continue;
      const symbols = new Map<string, readonly [number, number]>();
      const specs = Object.entries(entry.inputs).map(([name, input]) => rangesOf(name, input, symbols));
      if (symbols.size === 0) continue;
      const network = build(entry, specs, arrays);
      for (const [what, pick] of [
        ["smallest", ([low]: readonly [number, number]) => low],
        ["largest", ([, high]: readonly [number, number]) => high],
        ["odd", ([low, high]: readonly [number, number]) => Math.min(low + 2, high)],
      ] as const) {
        const at = new Map([...symbols].map(([name, range]) => [name, pick(range)]));
        const sizes = specs.map((spec) => ({
          ...spec,
          dims: spec.dims.map((dim) => (typeof dim === "number" ? dim : (at.get(dim.symbol as string) as number))),
        }));
        const inputs = sizes.map((spec) => inputOf(spec, entry.inputs[spec.name] as InputEntry));
        if (inputs.includes(undefined)) continue;
        const fixed = attempt(() => build(entry, sizes, arrays));
        // What PyTorch refuses at this size is nothing to compare with.
        if (fixed === undefined || fixed.outputs.length !== network.outputs.length) continue;
        const feeds = Object.fromEntries(sizes.map((spec, i) => [spec.name, inputs[i] as Tensor]));
        const expected = await execute(fixed, feeds).catch(() => undefined);
        if (expected === undefined) continue;
        const actual = await execute(network, feeds);
        network.outputs.forEach((output, i) => {
          const name = fixed.outputs[i]?.name as string;
          const [x, y] = [actual[output.name] as Tensor, expected[name] as Tensor];
          t.same(x.sizes, y.sizes, `${entry.name}, ${what}: sizes of output ${i}`);
          t.ok(close(x.toNumbers(), y.toNumbers()), `${entry.name}, ${what}: output ${i}`);
        });
      }
    }
  });
}

function build(entry: Case, inputs: readonly InputSpec[], arrays: ReadonlyMap<string, Tensor>): Network {
  const graph = parseIR(entry.ir);
  for (let i = graph.inputs.length - 1; i >= 0; i--) {
    const input = graph.inputs[i];
    const name = input?.debugName ?? "";
    if (input === undefined || !(name in entry.constants)) continue;
    const node = graph.createConstant(arrays.get(`${entry.name}/${name}`) as Tensor, TensorType);
    graph.block.prependNode(node);
    input.replaceAllUsesWith(node.output());
    graph.block.paramNode.eraseOutput(i);
  }
  functionalize(graph, new LoweringReport());
  return convert(graph, { inputs, registry, capabilities: { backend: "onnxruntime", version: [1, 30] } }).network;
}

function attempt<T>(make: () => T): T | undefined {
  try {
    return make();
  } catch {
    return undefined;
  }
}

function rangesOf(name: string, entry: InputEntry, symbols: Map<string, readonly [number, number]>): InputSpec {
  const { shape, dtype, dynamic } = "shape" in entry ? entry : { shape: entry, dtype: undefined, dynamic: undefined };
  const dims = shape.map((size, axis) => {
    if (dynamic === false || (dynamic === undefined && size <= 1)) return size;
    const range = dynamic === undefined ? ([1, 2 * size] as const) : dynamic[axis];
    if (range === undefined) return size;
    const symbol = `size${size}`;
    const [low, high] = symbols.get(symbol) ?? range;
    symbols.set(symbol, [Math.max(low, range[0]), Math.min(high, range[1])]);
    return { min: range[0], opt: size, max: range[1], symbol };
  });
  return { name, dtype: dtype ?? "float32", dims };
}

/** Undefined where the case lists numbers for another size. */
function inputOf(spec: InputSpec, entry: InputEntry): Tensor | undefined {
  const sizes = spec.dims as number[];
  const count = sizes.reduce((product, size) => product * size, 1);
  const given = "shape" in entry ? entry : { shape: entry };
  const values = "values" in given ? given.values : undefined;
  if (values !== undefined)
    return values.length === count ? Tensor.of(spec.dtype, sizes, values.map(Number)) : undefined;
  const floats = spec.dtype.startsWith("float");
  const [low, high] = ("range" in given ? given.range : undefined) ?? (spec.dtype === "bool" ? [0, 1] : [-9, 9]);
  const numbers = Array.from({ length: count }, (_, i) => {
    const place = (i * 0.618034 + 0.31) % 1;
    return floats ? low + place * (high - low) : low + Math.floor(place * (high - low + 1));
  });
  return Tensor.of(spec.dtype, sizes, numbers);
}

function close(actual: ArrayLike<number>, expected: ArrayLike<number>): boolean {
  return (
    actual.length === expected.length &&
    Array.from(actual).every((x, i) => {
      const y = expected[i] as number;
      return x === y || (Number.isNaN(x) && Number.isNaN(y)) || Math.abs(x - y) <= 1e-5 * (1 + Math.abs(y));
    })
  );
}
