import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { wrappedTypeName, writeWrappedModule } from "../../src/artifacts/module.js";
import { defaultRegistry } from "../../src/conversion/default-registry.js";
import type { Registry } from "../../src/conversion/registry.js";
import type { DimRange } from "../../src/ir/input-spec.js";
import { engineSegments } from "../../src/partition/partition.js";
import { stitchSegments, stitchWhole } from "../../src/partition/stitch.js";
import { nameOf } from "../../src/partition/trace.js";
import type { Fallback, JobInput } from "../../src/plan/job.js";
import { readNpz } from "../../src/util/npz.js";
import { type ConvertedModel, convertWithFallback, type PartitionedModel } from "../../src/worker/convert-model.js";
import { loadModel } from "../../src/worker/model.js";
import { runtime, stubEngine } from "../artifacts/torch.js";

export interface Options {
  readonly fallback?: Partial<Fallback> | false;
  readonly registry?: Registry;
  /** In place of the recorded inputs' sizes. */
  readonly dims?: readonly (readonly (number | DimRange)[])[];
}

/** The built-in converters but for those of the fixtures' operators that are to stay with Torch. */
export function registryWithGaps(): Registry {
  const registry = defaultRegistry();
  for (const name of ["aten::lgamma", "aten::digamma", "aten::quantile.scalar"]) registry.unregister(name);
  return registry;
}

export const fixture = (name: string): string => fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url));

/** Converts a model of the fixtures for the inputs that are recorded beside it. */
export async function convertFixture(
  file: string,
  io: string,
  options: Options = {},
): Promise<ConvertedModel | PartitionedModel> {
  const recorded = [...readNpz(fixture(io))].filter(([key]) => key.startsWith("in"));
  const inputs = recorded.map(([, tensor], i): JobInput => {
    return { name: null, dtype: tensor.dtype, dims: options.dims?.[i] ?? tensor.sizes };
  });
  const { fallback } = options;
  return convertWithFallback(loadModel(fixture(file)), {
    method: "forward",
    inputs,
    registry: options.registry ?? registryWithGaps(),
    capabilities: { backend: "tensorrt-rtx", version: [1, 0] },
    fallback:
      fallback === false ? false : { minBlockSize: 1, torchExecutedOps: [], torchExecutedModules: [], ...fallback },
  });
}

/** Each segment as `TensorRT 3` or `Torch aten::lgamma aten::add.Tensor`. */
export function describeSegments(model: ConvertedModel | PartitionedModel): string[] {
  if ("network" in model) return ["TensorRT all"];
  return model.partition.segments.map(({ runs, operations }) =>
    runs === "TensorRT"
      ? `TensorRT ${operations.length}`
      : `Torch ${operations.map(({ origin }) => nameOf(origin)).join(" ")}`,
  );
}

/** Why operators stay with Torch, each reason once. */
export function reasons(model: ConvertedModel | PartitionedModel): string[] {
  if ("network" in model) return [];
  return [
    ...new Set(model.partition.segments.flatMap(({ operations }) => operations.flatMap(({ torch }) => torch ?? []))),
  ];
}

/** Writes the module around stub engines, and gives its path. */
export function writeForTorch(model: ConvertedModel | PartitionedModel, path: string): string {
  const typeName = wrappedTypeName(model.typeName);
  if ("network" in model) {
    const engine = stubEngine(typeName, model.graph, model.network);
    const graph = stitchWhole(typeName, "forward", engine.attribute, model.graph, model);
    writeFileSync(
      path,
      Buffer.concat([...writeWrappedModule({ typeName, method: "forward", graph, engines: [engine], ...runtime })]),
    );
    return path;
  }
  const engines = engineSegments(model.partition).map(({ graph, conversion: { network } }, i) => ({
    ...stubEngine(typeName, graph, network, i),
    network,
  }));
  const graph = stitchSegments(typeName, "forward", model.partition, engines);
  writeFileSync(
    path,
    Buffer.concat([...writeWrappedModule({ typeName, method: "forward", graph, engines, ...runtime })]),
  );
  return path;
}
