import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import t, { type Test } from "tap";
import { execute } from "../../src/backends/onnx/runtime.js";
import { buildEngine, describeNetwork, findLibrary } from "../../src/backends/tensorrt/index.js";
import type { Capabilities } from "../../src/conversion/context.js";
import { convert } from "../../src/conversion/convert.js";
import { defaultRegistry } from "../../src/conversion/default-registry.js";
import type { Graph } from "../../src/ir/graph.js";
import type { DimRange, InputSpec } from "../../src/ir/input-spec.js";
import { parseIR } from "../../src/ir/parser.js";
import { isFloatingPoint } from "../../src/ir/scalar-type.js";
import type { Tensor } from "../../src/ir/tensor.js";
import { TensorType } from "../../src/ir/type.js";
import { functionalize } from "../../src/lowering/functionalize.js";
import { LoweringReport } from "../../src/lowering/report.js";
import type { Network } from "../../src/network/network.js";
import { applyPrecision, type Precision } from "../../src/network/precision.js";
import { toDims } from "../../src/network/symbolic.js";
import { dataTypeOf } from "../../src/network/weights.js";
import { readNpz } from "../../src/util/npz.js";
import { type Case, casesFolder, type InputEntry, readCases } from "./cases.js";

const REFERENCE: Capabilities = { backend: "onnxruntime", version: [1, 30] };
const RTX: Capabilities = { backend: "tensorrt-rtx", version: [1, 7] };
const registry = defaultRegistry();

/**
 * A test for each case of the families: converted with fixed sizes, with ranges and in fp16, run on the CPU reference and
 * compared with what PyTorch recorded; where libtensorrt_rtx is found, every tensor's dims are compared with the library's and
 * engines are built. TRTORCH_TEST_CASE=<part of a name> runs fewer, TRTORCH_TEST_TENSORRT=0 leaves the library out.
 */
export function testCases(...families: readonly string[]): void {
  const only = process.env.TRTORCH_TEST_CASE;
  const library = rtxLibrary();
  for (const family of families) {
    const recorded = new URL(`${family}.npz`, casesFolder());
    const arrays = existsSync(recorded) ? readNpz(fileURLToPath(recorded)) : new Map<string, Tensor>();
    t.test(family, async (t) => {
      if (library === undefined) t.comment("no libtensorrt_rtx here: dims are not compared with it");
      for (const entry of readCases(family)) {
        if (only !== undefined && !entry.name.includes(only)) continue;
        await t.test(entry.name, async (t) => {
          if (entry.error !== undefined) {
            const specs = Object.entries(entry.inputs).map(([name, input]) => specOf(name, input));
            t.throws(() => convertCase(entry, specs, arrays, REFERENCE), { message: new RegExp(entry.error) });
            return;
          }
          await testCase(t, entry, arrays, library);
        });
      }
    });
  }
}

async function testCase(
  t: Test,
  entry: Case,
  arrays: ReadonlyMap<string, Tensor>,
  library: string | undefined,
): Promise<void> {
  const take = (name: string): Tensor => {
    const tensor = arrays.get(`${entry.name}/${name}`);
    if (tensor === undefined) throw new Error(`${entry.name}: nothing recorded for ${name}; run record.py`);
    return tensor;
  };
  const names = Object.keys(entry.inputs);
  const inputs = Object.fromEntries(names.map((name) => [name, take(name)]));
  const expected: Tensor[] = [];
  for (let i = 0; arrays.has(`${entry.name}/out${i}`); i++) expected.push(take(`out${i}`));
  const fixed = names.map((name) => specOf(name, entry.inputs[name] as InputEntry));
  const ranges = names.map((name) => dynamicSpecOf(name, entry.inputs[name] as InputEntry));
  const runs: Run[] = [{ what: "fixed sizes", specs: fixed, precision: "fp32" }];
  const isDynamic = ranges.some((spec) => spec.dims.some((dim) => typeof dim !== "number"));
  if (entry.dynamic === undefined && isDynamic) runs.push({ what: "ranges", specs: ranges, precision: "fp32" });
  const isFloat = Object.values(inputs).some((tensor) => tensor.dtype === "float32");
  if (entry.fp16 === undefined && isFloat) runs.push({ what: "fp16", specs: fixed, precision: "fp16" });
  for (const { what, specs, precision } of runs) {
    const network = applyPrecision(convertCase(entry, specs, arrays, REFERENCE), precision).network;
    const outputs = await execute(network, inputs);
    expected.forEach((tensor, i) => {
      const output = network.outputs[i];
      if (output === undefined) {
        t.fail(`${what}: output ${i} is missing`);
        return;
      }
      t.equal(output.type, dataTypeOf(tensor.dtype), `${what}: type of output ${i}`);
      const actual = outputs[output.name] as Tensor;
      const difference =
        precision === "fp16"
          ? compareLoosely(actual, tensor)
          : compare(actual, tensor, entry.rtol ?? 1e-4, entry.atol ?? 1e-5);
      t.equal(difference, undefined, `${what}: output ${i}`);
    });
    t.equal(network.outputs.length, expected.length, `${what}: number of outputs`);
  }
  if (library === undefined || entry.tensorrt !== undefined) return;
  for (const { what, specs, precision } of runs) {
    const network = applyPrecision(convertCase(entry, specs, arrays, RTX), precision).network;
    for (const { tensor, type, dims } of await describeNetwork(network, { flavour: "rtx", library })) {
      t.equal(type, tensor.type, `${what}: TensorRT's type of ${tensor.name}`);
      // TensorRT knows fewer sizes than we do, never others.
      const own = toDims(tensor.dims);
      const agree = own.length === dims.length && dims.every((dim, i) => dim === own[i] || dim === -1 || own[i] === -1);
      t.ok(agree, `${what}: TensorRT's dims of ${tensor.name}: [${dims}], ours [${own}]`);
    }
    const { engine } = await buildEngine(network, { flavour: "rtx", library, targets: [89] });
    t.ok(engine.byteLength > 0, `${what}: engine`);
  }
}

interface Run {
  readonly what: string;
  readonly specs: readonly InputSpec[];
  readonly precision: Precision;
}

/** Lowered as far as a few operators need it: constants in place of the inputs that stand for weights, no writes in place. */
function convertCase(
  entry: Case,
  specs: readonly InputSpec[],
  arrays: ReadonlyMap<string, Tensor>,
  capabilities: Capabilities,
): Network {
  const graph = parseIR(entry.ir);
  freezeConstants(graph, entry, arrays);
  functionalize(graph, new LoweringReport());
  return convert(graph, { inputs: specs, registry, capabilities }).network;
}

function freezeConstants(graph: Graph, entry: Case, arrays: ReadonlyMap<string, Tensor>): void {
  for (let i = graph.inputs.length - 1; i >= 0; i--) {
    const input = graph.inputs[i];
    const name = input?.debugName;
    if (input === undefined || name === undefined || !(name in entry.constants)) continue;
    const node = graph.createConstant(arrays.get(`${entry.name}/${name}`) as Tensor, TensorType);
    graph.block.prependNode(node);
    input.replaceAllUsesWith(node.output());
    graph.block.paramNode.eraseOutput(i);
  }
}

function specOf(name: string, entry: InputEntry): InputSpec {
  const { shape, dtype } = normalized(entry);
  return { name, dtype, dims: shape };
}

/** Sizes above 1 become ranges; equal sizes are one symbol, as the dims of operands that belong together are. */
function dynamicSpecOf(name: string, entry: InputEntry): InputSpec {
  const { shape, dtype, dynamic } = normalized(entry);
  const dims = shape.map((size, axis): number | DimRange => {
    if (dynamic === false || (dynamic === undefined && size <= 1)) return size;
    const range = dynamic === undefined ? [1, 2 * size] : dynamic[axis];
    if (range === undefined) return size;
    return { min: range[0] as number, opt: size, max: range[1] as number, symbol: `size${size}` };
  });
  return { name, dtype, dims };
}

function normalized(entry: InputEntry): Required<Pick<Exclude<InputEntry, readonly number[]>, "shape" | "dtype">> & {
  readonly dynamic: false | Readonly<Record<number, readonly [number, number]>> | undefined;
} {
  if ("shape" in entry) return { shape: entry.shape, dtype: entry.dtype ?? "float32", dynamic: entry.dynamic };
  return { shape: entry, dtype: "float32", dynamic: undefined };
}

/** What differs, in words. */
function compare(actual: Tensor, expected: Tensor, rtol: number, atol: number): string | undefined {
  if (String(actual.sizes) !== String(expected.sizes)) return `sizes [${actual.sizes}], not [${expected.sizes}]`;
  if (expected.dtype === "int64") {
    const [x, y] = [actual.toBigInts(), expected.toBigInts()];
    const at = y.findIndex((value, i) => value !== x[i]);
    return at < 0 ? undefined : `element ${at} is ${x[at]}, not ${y[at]}`;
  }
  const [x, y] = [actual.toNumbers(), expected.toNumbers()];
  const float = isFloatingPoint(expected.dtype);
  for (let i = 0; i < y.length; i++) {
    const [a, b] = [x[i] as number, y[i] as number];
    if (Object.is(a, b) || a === b || (Number.isNaN(a) && Number.isNaN(b))) continue;
    if (!float || !(Math.abs(a - b) <= atol + rtol * Math.abs(b))) return `element ${i} is ${a}, not ${b}`;
  }
  return undefined;
}

/** Halves have three digits; what is not a number stays so, and decisions on rounded numbers may differ. */
function compareLoosely(actual: Tensor, expected: Tensor): string | undefined {
  if (String(actual.sizes) !== String(expected.sizes)) return `sizes [${actual.sizes}], not [${expected.sizes}]`;
  if (!isFloatingPoint(expected.dtype)) return undefined;
  const [x, y] = [actual.toNumbers(), expected.toNumbers()];
  // What cancels out has the rounding errors of what it was made of.
  const finite = Array.from(y).filter(Number.isFinite);
  const rounding = finite.reduce((most, value) => Math.max(most, Math.abs(value)), 0) / 512;
  for (let i = 0; i < y.length; i++) {
    const [a, b] = [x[i] as number, y[i] as number];
    const allowed = 0.03 * (1 + Math.abs(b)) + rounding;
    if (a === b || (Number.isNaN(a) === Number.isNaN(b) && !(Math.abs(a - b) > allowed))) continue;
    return `element ${i} is ${a}, not ${b}`;
  }
  return undefined;
}

function rtxLibrary(): string | undefined {
  if (process.env.TRTORCH_TEST_TENSORRT === "0") return undefined;
  try {
    return findLibrary("rtx");
  } catch {
    return undefined;
  }
}
