import { makeReport, type SupportReport } from "./artifacts/report.js";
import { buildEngine, type EngineOptions } from "./backends/tensorrt/index.js";
import type { Capabilities } from "./conversion/context.js";
import { defaultRegistry } from "./conversion/default-registry.js";
import type { Converter, Registry } from "./conversion/registry.js";
import type { ExportedOptions } from "./exported/index.js";
import type { Graph } from "./ir/graph.js";
import type { DimRange } from "./ir/input-spec.js";
import type { Program } from "./ir/module.js";
import type { ScalarType } from "./ir/scalar-type.js";
import { inlineCalls } from "./lowering/inline-calls.js";
import type { Network } from "./network/network.js";
import { applyPrecision } from "./network/precision.js";
import { type Backend, type JobInput, PRECISIONS, type Precision } from "./plan/job.js";
import { indexOfChoice } from "./util/choice.js";
import { describeProblem, TrtorchError } from "./util/errors.js";
import { capabilitiesOf, convertModel, lowerModel } from "./worker/convert-model.js";
import { loadModel } from "./worker/model.js";

export { execute } from "./backends/onnx/runtime.js";
export {
  type BenchOptions,
  type BenchResult,
  type Engine,
  type EngineTensor,
  type ExecuteOptions,
  type LoadOptions,
  loadEngine,
} from "./backends/tensorrt/engine.js";
export { ConversionContext } from "./conversion/context.js";
export { type ConversionResult, type ConvertOptions, convert, UnsupportedOperatorError } from "./conversion/convert.js";
export { decomposition } from "./conversion/decomposition.js";
export { defaultRegistry } from "./conversion/default-registry.js";
export * as operands from "./conversion/operands.js";
export {
  type Converter,
  converter,
  evaluator,
  nodeEvaluator,
  Registry,
  withoutConverter,
} from "./conversion/registry.js";
export { type IValue, Scalar, TensorValue } from "./conversion/values.js";
export type { Graph, Node, Value } from "./ir/graph.js";
export { parseIR } from "./ir/parser.js";
export { printGraph } from "./ir/printer.js";
export { Tensor } from "./ir/tensor.js";
export type { ITensor, Layer, Weights } from "./network/layers.js";
export { Network } from "./network/network.js";
export { applyPrecision } from "./network/precision.js";
export * as symbolic from "./network/symbolic.js";
export { TrtorchError } from "./util/errors.js";
export { readNpz, writeNpz } from "./util/npz.js";
export type { SupportReport };

/** An input: `[1, 3, 224, 224]`, or with a dtype, a name, or a range. */
export type InputDeclaration =
  | readonly number[]
  | {
      readonly name?: string;
      readonly dtype?: ScalarType;
      readonly shape: readonly (number | DimRange)[];
    }
  | {
      readonly name?: string;
      readonly dtype?: ScalarType;
      readonly min: readonly number[];
      readonly opt: readonly number[];
      readonly max: readonly number[];
    };

export interface CompileOptions {
  /** In the method's order; a torch.export program may do without. */
  readonly inputs?: readonly InputDeclaration[];
  readonly method?: string;
  readonly precision?: Precision;
  readonly backend?: Exclude<Backend, "onnxruntime">;
  /** For TensorRT-RTX: `["sm_86", "sm_89"]` makes one engine for both. */
  readonly targets?: readonly string[];
  /** Converters besides the built-in ones, or in their place. */
  readonly converters?: readonly Converter[];
  readonly builder?: EngineOptions;
  readonly onProgress?: (progress: { readonly phase: string; readonly step: number; readonly total: number }) => void;
  readonly signal?: AbortSignal;
}

/** A model file, read but not yet compiled. */
export class Model {
  readonly program: Program;

  constructor(program: Program) {
    this.program = program;
  }

  get methods(): readonly string[] {
    return this.program.methodNames;
  }

  /** The method with everything it calls inlined, as PyTorch's `inlined_graph`. */
  inlinedGraph(method = "forward"): Graph {
    const graph = this.program.method(this.program.typeName, method).copy();
    inlineCalls(graph, this.program);
    return graph;
  }

  /** The method as conversion sees it: inlined, frozen, simplified. */
  loweredGraph(options: Pick<CompileOptions, "inputs" | "method"> = {}): Graph {
    return lowerModel(this.program, settle(options)).graph;
  }

  /** The method as a network: what `check` looks at, and the CPU reference runs. */
  async network(options: CompileOptions = {}): Promise<Network> {
    const { backend = "tensorrt-rtx", precision = "fp32" } = options;
    indexOfChoice("precision", precision, PRECISIONS);
    const model = await convertModel(this.program, {
      ...settle(options),
      registry: registryWith(options.converters),
      capabilities: capabilitiesOf(backend),
    });
    return applyPrecision(model.network, precision).network;
  }
}

/** Reads a TorchScript archive or a torch.export program. */
export function load(path: string, options: ExportedOptions = {}): Model {
  return new Model(loadModel(path, options));
}

export interface CompiledModel {
  readonly engine: Buffer;
  readonly network: Network;
  readonly library: { readonly name: string; readonly version: string };
}

/** Compiles a method, `forward` unless told otherwise, to a TensorRT engine. */
export async function compile(model: Model | string, options: CompileOptions = {}): Promise<CompiledModel> {
  const network = await (typeof model === "string" ? load(model) : model).network(options);
  const { engine, library } = await buildEngine(network, {
    flavour: options.backend === "tensorrt" ? "trt10" : "rtx",
    targets: options.targets ?? [],
    options: options.builder ?? {},
    signal: options.signal,
    onEvent: (event) => {
      if (event.type === "progress") options.onProgress?.(event);
    },
  });
  return { engine, network, library };
}

/** The serialized engine of one method: TRTorch's function of that name. */
export async function convertMethodToTrtEngine(
  model: Model | string,
  method: string,
  options: CompileOptions = {},
): Promise<Buffer> {
  return (await compile(model, { ...options, method })).engine;
}

/**
 * Whether TensorRT can run all of a method, and what each operator becomes; no library is needed. With `inputs` the
 * method is converted as well, which finds what depends on shapes; without, operators are looked up one by one.
 */
export async function checkMethodOperatorSupport(
  model: Model | string,
  method = "forward",
  options: Omit<CompileOptions, "method"> & { registry?: Registry; capabilities?: Capabilities; name?: string } = {},
): Promise<SupportReport> {
  const { program } = typeof model === "string" ? load(model) : model;
  const registry = options.registry ?? registryWith(options.converters);
  const settled = settle({ ...options, method });
  const name = options.name ?? program.file;
  const shapesKnown = settled.inputs !== null || program.inputs(method) !== undefined;
  const lowered = lowerModel(program, shapesKnown ? settled : { ...settled, inputs: [] });
  const common = { model: name, method, registry, graph: lowered.graph, removals: lowered.removals };
  if (!shapesKnown) return makeReport(common);
  try {
    const converted = await convertModel(program, {
      ...settled,
      registry,
      capabilities: options.capabilities ?? capabilitiesOf(options.backend ?? "tensorrt-rtx"),
    });
    return makeReport({ ...common, ...converted });
  } catch (error) {
    if (!(error instanceof TrtorchError) || ["usage", "config", "internal"].includes(error.code)) throw error;
    return makeReport({ ...common, problem: describeProblem(error) });
  }
}

function registryWith(converters: readonly Converter[] = []): Registry {
  return defaultRegistry().register(...converters);
}

function settle(options: Pick<CompileOptions, "inputs" | "method">): {
  method: string;
  inputs: readonly JobInput[] | null;
} {
  return { method: options.method ?? "forward", inputs: options.inputs?.map(toJobInput) ?? null };
}

function toJobInput(input: InputDeclaration): JobInput {
  if (isShape(input)) return { name: null, dtype: null, dims: input };
  const { name = null, dtype = null } = input;
  if ("shape" in input) return { name, dtype, dims: input.shape };
  const dims = input.opt.map((opt, axis) => {
    const [min = opt, max = opt] = [input.min[axis], input.max[axis]];
    if (min > opt || opt > max) {
      throw new TrtorchError("usage", `input ${name ?? ""}: dim ${axis} has min ${min}, opt ${opt}, max ${max}`, {
        hint: "min <= opt <= max must hold.",
      });
    }
    return min === max ? opt : { min, opt, max };
  });
  return { name, dtype, dims };
}

function isShape(input: InputDeclaration): input is readonly number[] {
  return Array.isArray(input);
}
