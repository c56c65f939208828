import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Capabilities } from "../conversion/context.js";
import { type ConvertedNode, convert, type OutputStructure, UnsupportedOperatorError } from "../conversion/convert.js";
import type { Registry } from "../conversion/registry.js";
import { allNodes, type Graph } from "../ir/graph.js";
import type { InputSpec } from "../ir/input-spec.js";
import type { Program } from "../ir/module.js";
import { printGraph } from "../ir/printer.js";
import { lower } from "../lowering/pipeline.js";
import type { Removal } from "../lowering/report.js";
import type { Network } from "../network/network.js";
import { forcedToTorch, unmatched } from "../partition/forced.js";
import { type Partition, partition } from "../partition/partition.js";
import { isRefusal } from "../partition/trace.js";
import { BACKENDS, type Backend, type Fallback, type JobInput, type JobPhase } from "../plan/job.js";
import { indexOfChoice } from "../util/choice.js";
import { TrtorchError } from "../util/errors.js";
import { resolveInputs } from "./model.js";

export interface ConvertModelOptions {
  readonly method: string;
  /** Null: the file says what the inputs are. */
  readonly inputs: readonly JobInput[] | null;
  readonly registry: Registry;
  readonly capabilities: Capabilities;
  /** The graph after each pass is written below this folder. */
  readonly dumpIr?: string | undefined;
  /** Runs a station under its name, for progress and durations. */
  readonly phase?: <R>(phase: JobPhase, work: () => R) => Promise<R> | R;
}

/** A method on its way through the compiler. */
export interface LoweredModel {
  /** The qualified class of the module. */
  readonly typeName: string;
  readonly graph: Graph;
  readonly removals: readonly Removal[];
  readonly inputs: readonly InputSpec[];
}

export interface ConvertedModel extends LoweredModel {
  readonly network: Network;
  readonly outputStructure: OutputStructure;
  readonly converted: readonly ConvertedNode[];
}

/** Inlines, freezes and simplifies a method, and settles what its inputs are. */
export function lowerModel(
  program: Program,
  options: Omit<ConvertModelOptions, "capabilities" | "registry">,
): LoweredModel {
  if (!program.methodNames.includes(options.method)) {
    throw new TrtorchError("config", `${program.file} has no method "${options.method}"`, {
      hint: `It has ${program.methodNames.join(", ")}.`,
    });
  }
  const dump = options.dumpIr === undefined ? undefined : irDump(options.dumpIr);
  const { graph, removed } = lower(program, options.method, {
    inputCount: options.inputs?.length,
    ...(dump === undefined ? {} : { dumpIr: dump }),
  });
  const { typeName } = program;
  return { typeName, graph, removals: removed, inputs: resolveInputs(program, options.method, graph, options.inputs) };
}

/** A model of which Torch runs parts. */
export interface PartitionedModel extends LoweredModel {
  readonly partition: Partition;
}

/**
 * From a program to a network, or where that cannot be or is not wanted, to the networks of its segments for TensorRT. With
 * `fallback: false` the first operator that TensorRT cannot run is an error.
 */
export async function convertWithFallback(
  program: Program,
  options: ConvertModelOptions & {
    readonly fallback: Fallback | false;
    readonly warn?: (message: string, hint: string) => void;
  },
): Promise<ConvertedModel | PartitionedModel> {
  const { fallback } = options;
  if (fallback === false) return convertModel(program, options);
  const phase = options.phase ?? (<R>(_: JobPhase, work: () => R): R => work());
  const lowered = await phase("lower", () => lowerModel(program, options));
  const forced = forcedToTorch(fallback, program.root);
  for (const name of unmatched(fallback, program.root, lowered.graph)) {
    options.warn?.(
      `nothing in ${options.method} is "${name}", which is to stay with Torch`,
      "The support report lists the operators as they are after lowering, and classes as torchvision.models.resnet.BasicBlock.",
    );
  }
  return phase("convert", () => {
    if ([...allNodes(lowered.graph.block)].every((node) => forced(node) === undefined)) {
      try {
        return convertLowered(program, lowered, options);
      } catch (error) {
        if (!isRefusal(error)) throw error;
      }
    }
    const { registry, capabilities } = options;
    const { minBlockSize } = fallback;
    const { inputs } = lowered;
    return {
      ...lowered,
      partition: partition(lowered.graph, { inputs, registry, capabilities, minBlockSize, forced }),
    };
  });
}

/** From a program to a network in the types of the model. */
export async function convertModel(program: Program, options: ConvertModelOptions): Promise<ConvertedModel> {
  const phase = options.phase ?? (<R>(_: JobPhase, work: () => R): R => work());
  const lowered = await phase("lower", () => lowerModel(program, options));
  return phase("convert", () => convertLowered(program, lowered, options));
}

const DECOMPOSE = " Or save program.run_decompositions(), which splits many operators into simpler ones.";

function convertLowered(
  program: Program,
  lowered: LoweredModel,
  options: Pick<ConvertModelOptions, "registry" | "capabilities">,
): ConvertedModel {
  try {
    const { network, outputStructure, nodes } = convert(lowered.graph, {
      inputs: lowered.inputs,
      registry: options.registry,
      capabilities: options.capabilities,
      outputNames: program.signature?.outputs,
    });
    return { ...lowered, network, outputStructure, converted: nodes };
  } catch (error) {
    if (program.format !== "exported" || !(error instanceof UnsupportedOperatorError)) throw error;
    throw new UnsupportedOperatorError(error.node, DECOMPOSE);
  }
}

/** Writes `00-inline.ir`, `01-freeze.ir`, ... */
function irDump(folder: string): (pass: string, graph: Graph) => void {
  mkdirSync(folder, { recursive: true });
  let count = 0;
  return (pass, graph) => {
    const name = `${String(count++).padStart(2, "0")}-${pass}.ir`;
    writeFileSync(join(folder, name), printGraph(graph, { sourceRanges: true }));
  };
}

/** What converters may count on. TensorRT's own version matters from 10.6 on; the CPU reference runs every layer. */
export function capabilitiesOf(backend: Backend): Capabilities {
  indexOfChoice("backend", backend, BACKENDS);
  return { backend, version: backend === "tensorrt" ? [10, 6] : [1, 0] };
}
