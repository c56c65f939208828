import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { createSession } from "../../src/backends/onnx/runtime.js";
import { buildEngine, describeNetwork } from "../../src/backends/tensorrt/index.js";
import type { Capabilities } from "../../src/conversion/context.js";
import { convert } from "../../src/conversion/convert.js";
import { defaultRegistry } from "../../src/conversion/default-registry.js";
import { ObjectValue } from "../../src/ir/constant.js";
import type { Graph } from "../../src/ir/graph.js";
import type { DimRange, InputSpec } from "../../src/ir/input-spec.js";
import { parseIR } from "../../src/ir/parser.js";
import { isFloatingPoint } from "../../src/ir/scalar-type.js";
import type { Tensor } from "../../src/ir/tensor.js";
import { TensorType } from "../../src/ir/type.js";
import { lower } from "../../src/lowering/pipeline.js";
import type { Network } from "../../src/network/network.js";
import { toDims } from "../../src/network/symbolic.js";
import { TrtorchError } from "../../src/util/errors.js";
import { readNpz } from "../../src/util/npz.js";
import { Composer, type Composition } from "./composer.js";
import { compose } from "./operators.js";

const registry = defaultRegistry();
const REFERENCE: Capabilities = { backend: "onnxruntime", version: [1, 30] };
const RTX: Capabilities = { backend: "tensorrt-rtx", version: [1, 7] };

/** Float results may be off by this much of the largest number in the composition. */
const TOLERANCE = 2e-4;

/** Reasons for which a composition may be refused; every other error is a defect. */
const REFUSALS = ["unsupported", "unsupported-operator"];

export type Outcome =
  | { readonly kind: "agrees" }
  /** PyTorch itself refuses: the generator was mistaken. */
  | { readonly kind: "invalid"; readonly reason: string }
  | { readonly kind: "unsupported"; readonly reason: string }
  | { readonly kind: "fails"; readonly reason: string };

export interface Options {
  readonly python: string;
  readonly seed: number;
  readonly count: number;
  /** Only the one with this number. */
  readonly only?: number | undefined;
  /** Also TensorRT-RTX's dims, types and an engine. */
  readonly library: boolean;
}

/** The compositions that a seed stands for. */
export function compositions(seed: number, count: number): Composition[] {
  const arbitrary = fc.gen().map((draw) => {
    const composer = new Composer(draw);
    compose(composer, composer.int(3, 12));
    return composer.finish();
  });
  return fc.sample(arbitrary, { seed, numRuns: count });
}

/** Composes, has PyTorch compute, converts with fixed sizes and with ranges, runs and compares. */
export async function* testCompositions(
  options: Options,
): AsyncGenerator<{ readonly id: number; readonly composition: Composition; readonly outcome: Outcome }> {
  const all = compositions(options.seed, options.count)
    .map((composition, id) => ({ id, composition }))
    .filter(({ id }) => options.only === undefined || id === options.only);
  const folder = mkdtempSync(join(tmpdir(), "trtorch-random-"));
  try {
    const cases = all.map(({ id, composition: { irOfAll, inputs } }) =>
      JSON.stringify({ id, ir: irOfAll, inputs, seed: options.seed * 1_000_003 + id }),
    );
    writeFileSync(join(folder, "cases.jsonl"), `${cases.join("\n")}\n`);
    const script = fileURLToPath(new URL("reference.py", import.meta.url));
    execFileSync(options.python, [script, join(folder, "cases.jsonl"), folder], {
      stdio: ["ignore", "inherit", "inherit"],
    });
    let recorded = new Map<string, Tensor>();
    for (const [i, { id, composition }] of all.entries()) {
      if (i % 100 === 0) recorded = new Map(readNpz(join(folder, `${i / 100}.npz`)));
      const own = new Map(
        [...recorded].flatMap(([name, tensor]) =>
          name.startsWith(`${id}/`) ? [[name.slice(String(id).length + 1), tensor]] : [],
        ),
      );
      yield { id, composition, outcome: await test(composition, own, options) };
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function test(
  composition: Composition,
  recorded: ReadonlyMap<string, Tensor>,
  { library }: Options,
): Promise<Outcome> {
  const error = recorded.get("error");
  if (error !== undefined) return { kind: "invalid", reason: String.fromCharCode(...error.toNumbers()) };
  let unsupported: string | undefined;
  for (const dynamic of [false, true]) {
    try {
      const difference = await runs(composition, composition.ir, recorded, dynamic, REFERENCE);
      if (difference !== undefined) {
        const all = await runs(composition, composition.irOfAll, recorded, dynamic, REFERENCE);
        return {
          kind: "fails",
          reason: `${dynamic ? "with ranges" : "fixed sizes"}: ${all ?? `${difference}, but not when all are returned`}`,
        };
      }
      if (library) await holdsInTensorRT(convertIR(composition, composition.ir, recorded, dynamic, RTX));
    } catch (thrown) {
      if (thrown instanceof TrtorchError && REFUSALS.includes(thrown.code)) {
        unsupported ??= `${dynamic ? "with ranges: " : ""}${thrown.message.split("\n")[0]}`;
      } else {
        const text =
          thrown instanceof TrtorchError
            ? `${thrown.code}: ${thrown.message}`
            : thrown instanceof Error
              ? thrown.stack
              : thrown;
        return { kind: "fails", reason: `${dynamic ? "with ranges" : "fixed sizes"}: ${text}` };
      }
    }
  }
  return unsupported === undefined ? { kind: "agrees" } : { kind: "unsupported", reason: unsupported };
}

/** Converts and runs; what differs, in words. */
async function runs(
  composition: Composition,
  ir: string,
  recorded: ReadonlyMap<string, Tensor>,
  dynamic: boolean,
  capabilities: Capabilities,
): Promise<string | undefined> {
  const network = convertIR(composition, ir, recorded, dynamic, capabilities);
  const session = await createSession(network);
  try {
    const outputs = await session.run(
      Object.fromEntries(network.inputs.map(({ name }) => [name, recorded.get(name) as Tensor])),
    );
    const floats = [...recorded.values()].filter(({ dtype }) => isFloatingPoint(dtype));
    const scale = Math.max(
      1,
      ...floats.flatMap((tensor) => [...tensor.toNumbers()].map(Math.abs).filter(Number.isFinite)),
    );
    const names =
      /prim::TupleConstruct\(([^)]*)\)\n {2}return/
        .exec(ir)?.[1]
        ?.split(", ")
        .map((name) => name.slice(1)) ?? [];
    const order =
      /prim::TupleConstruct\(([^)]*)\)\n {2}return/
        .exec(composition.irOfAll)?.[1]
        ?.split(", ")
        .map((name) => name.slice(1)) ?? [];
    for (const [i, name] of names.entries()) {
      const expected = recorded.get(`out${order.indexOf(name)}`) as Tensor;
      const actual = outputs[network.outputs[i]?.name ?? ""];
      const difference = actual === undefined ? "is missing" : differenceOf(actual, expected, TOLERANCE * scale);
      if (difference !== undefined) return `%${name} ${difference}`;
    }
    return undefined;
  } finally {
    await session.release();
  }
}

function differenceOf(actual: Tensor, expected: Tensor, allowed: number): string | undefined {
  if (actual.dtype !== expected.dtype) return `is ${actual.dtype}, not ${expected.dtype}`;
  if (String(actual.sizes) !== String(expected.sizes)) return `is [${actual.sizes}], not [${expected.sizes}]`;
  const [x, y] = [actual.toNumbers(), expected.toNumbers()];
  const isFloat = isFloatingPoint(expected.dtype);
  for (let i = 0; i < y.length; i++) {
    const [a, b] = [x[i] as number, y[i] as number];
    if (a === b || (Number.isNaN(a) && Number.isNaN(b)) || (isFloat && Math.abs(a - b) <= allowed)) continue;
    return `has ${a} at ${i}, not ${b}`;
  }
  return undefined;
}

function convertIR(
  composition: Composition,
  ir: string,
  recorded: ReadonlyMap<string, Tensor>,
  dynamic: boolean,
  capabilities: Capabilities,
): Network {
  const graph = parseIR(ir);
  freezeConstants(graph, composition, recorded);
  const program = {
    file: "composition",
    format: "torchscript" as const,
    typeName: "Composition",
    root: new ObjectValue("Composition"),
    methodNames: ["forward"],
    method: () => graph,
    function: () => graph,
    inputs: () => undefined,
  };
  const inputs = composition.inputs
    .filter(({ constant }) => !constant)
    .map(({ name, shape, dtype }): InputSpec => ({ name, dtype, dims: dynamic ? shape.map(range) : shape }));
  return convert(lower(program, "forward").graph, { inputs, registry, capabilities }).network;
}

/** Equal sizes are one symbol, as those of operands that belong together are. */
function range(size: number): number | DimRange {
  return size <= 1 ? size : { min: 1, opt: size, max: 2 * size, symbol: `size${size}` };
}

function freezeConstants(graph: Graph, { inputs }: Composition, recorded: ReadonlyMap<string, Tensor>): void {
  for (let i = inputs.length - 1; i >= 0; i--) {
    const name = inputs[i]?.name as string;
    if (inputs[i]?.constant !== true) continue;
    const node = graph.block.prependNode(graph.createConstant(recorded.get(name) as Tensor, TensorType));
    graph.inputs[i]?.replaceAllUsesWith(node.output());
    graph.block.paramNode.eraseOutput(i);
  }
}

async function holdsInTensorRT(network: Network): Promise<void> {
  for (const { tensor, type, dims } of await describeNetwork(network, { flavour: "rtx" })) {
    const own = toDims(tensor.dims);
    const agree = own.length === dims.length && dims.every((dim, i) => dim === own[i] || dim === -1 || own[i] === -1);
    if (type !== tensor.type || !agree) {
      throw new Error(`${tensor.name}: ours ${tensor.type}[${own}], TensorRT's ${type}[${dims}]`);
    }
  }
  await buildEngine(network, { flavour: "rtx", targets: ["sm_89"] });
}
