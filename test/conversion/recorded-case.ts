import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
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
import { readNpz } from "../../src/util/npz.js";
import { type Case, casesFolder, type InputEntry, readCases } from "./cases.js";

// The cases with what PyTorch recorded for them, and the networks that they become: for whoever runs these.

const registry = defaultRegistry();

/** How a case is converted. */
export interface Form {
  readonly what: "fixed sizes" | "ranges" | "fp16";
  readonly specs: readonly InputSpec[];
  readonly precision: Precision;
}

export class RecordedCase {
  readonly entry: Case;
  readonly #arrays: ReadonlyMap<string, Tensor>;

  constructor(entry: Case, arrays: ReadonlyMap<string, Tensor>) {
    this.entry = entry;
    this.#arrays = arrays;
  }

  get inputs(): Record<string, Tensor> {
    return Object.fromEntries(Object.keys(this.entry.inputs).map((name) => [name, this.#take(name)]));
  }

  /** PyTorch's outputs. */
  get expected(): Tensor[] {
    const outputs: Tensor[] = [];
    while (this.#arrays.has(this.#key(`out${outputs.length}`))) outputs.push(this.#take(`out${outputs.length}`));
    return outputs;
  }

  /** With fixed sizes, and where the case allows with ranges and in half precision. */
  get forms(): Form[] {
    const { entry } = this;
    const inputs = Object.entries(entry.inputs);
    const fixed = inputs.map(([name, input]) => specOf(name, input));
    const ranges = inputs.map(([name, input]) => dynamicSpecOf(name, input));
    const forms: Form[] = [{ what: "fixed sizes", specs: fixed, precision: "fp32" }];
    const isDynamic = ranges.some((spec) => spec.dims.some((dim) => typeof dim !== "number"));
    if (entry.dynamic === undefined && isDynamic) forms.push({ what: "ranges", specs: ranges, precision: "fp32" });
    const isFloat = fixed.some(({ dtype }) => dtype === "float32");
    if (entry.fp16 === undefined && isFloat) forms.push({ what: "fp16", specs: fixed, precision: "fp16" });
    return forms;
  }

  /** Lowered as far as a few operators need it: constants in place of the inputs that stand for weights, no writes in place. */
  convert({ specs, precision }: Form, capabilities: Capabilities): Network {
    const graph = parseIR(this.entry.ir);
    this.#freezeConstants(graph);
    functionalize(graph, new LoweringReport());
    return applyPrecision(convert(graph, { inputs: specs, registry, capabilities }).network, precision).network;
  }

  /** In words, how far an output is not what PyTorch gave; undefined where it is. */
  difference({ precision }: Form, actual: Tensor, expected: Tensor): string | undefined {
    const { rtol = 1e-4, atol = 1e-5 } = this.entry;
    return precision === "fp16" ? compareLoosely(actual, expected) : compare(actual, expected, rtol, atol);
  }

  #key(name: string): string {
    return `${this.entry.name}/${name}`;
  }

  #take(name: string): Tensor {
    const tensor = this.#arrays.get(this.#key(name));
    if (tensor === undefined) throw new Error(`${this.entry.name}: nothing recorded for ${name}; run record.py`);
    return tensor;
  }

  #freezeConstants(graph: Graph): void {
    for (let i = graph.inputs.length - 1; i >= 0; i--) {
      const input = graph.inputs[i];
      const name = input?.debugName;
      if (input === undefined || name === undefined || !(name in this.entry.constants)) continue;
      const node = graph.createConstant(this.#take(name), TensorType);
      graph.block.prependNode(node);
      input.replaceAllUsesWith(node.output());
      graph.block.paramNode.eraseOutput(i);
    }
  }
}

export function recordedCases(family: string): RecordedCase[] {
  const recorded = new URL(`${family}.npz`, casesFolder());
  const arrays = existsSync(recorded) ? readNpz(fileURLToPath(recorded)) : new Map<string, Tensor>();
  return readCases(family).map((entry) => new RecordedCase(entry, arrays));
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
