import {
  type EngineDevice,
  engineAttribute,
  type WrappedModule,
  wrappedTypeName,
  writeWrappedModule,
} from "../artifacts/module.js";
import type { Network } from "../network/network.js";
import { stitchSegments, stitchWhole } from "../partition/stitch.js";
import type { Device } from "../plan/device.js";
import type { Job } from "../plan/job.js";
import { TrtorchError } from "../util/errors.js";
import type { ConvertedModel, PartitionedModel } from "./convert-model.js";

/** The module around the engines of a method. `networks` are what the engines were built from, in the order in which they run. */
export function wrapModel(
  job: Job,
  model: ConvertedModel | PartitionedModel,
  networks: readonly Network[],
  plans: readonly Uint8Array[],
  device: Device | null,
): Generator<Uint8Array> {
  const typeName = wrappedTypeName(model.typeName);
  const engines = networks.map((network, i) => ({
    attribute: engineAttribute(typeName, networks.length === 1 ? undefined : i),
    network,
    plan: plans[i] as Uint8Array,
    inputNames: network.inputs.map(({ name }) => name),
    outputNames: network.outputs.map(({ name }) => name),
  }));
  const [first] = engines as [(typeof engines)[number]];
  const graph =
    "partition" in model
      ? stitchSegments(typeName, job.method, model.partition, engines)
      : stitchWhole(typeName, job.method, first.attribute, model.graph, { ...model, network: first.network });
  return writeWrappedModule({ typeName, method: job.method, graph, engines, ...runtimeOf(job, device) });
}

/** What the runtime is told about where the engines run. */
function runtimeOf(
  job: Job,
  device: Device | null,
): Pick<WrappedModule, "torchTensorrt" | "device" | "hardwareCompatible" | "platform"> {
  const { computeCapabilities } = job.target;
  // One engine for several GPUs is built for all of them, and the runtime has one word for that.
  const several = computeCapabilities.length > 1 && computeCapabilities.every((capability) => capability >= 80);
  return {
    torchTensorrt: job.torchTensorrt,
    device: engineDevice(job, device),
    hardwareCompatible: several || job.builder.hardwareCompatible === "ampere_plus",
    platform: platform(),
  };
}

function engineDevice(job: Job, device: Device | null): EngineDevice {
  const isDla = job.builder.dla !== null;
  const [capability] = job.target.computeCapabilities;
  if (capability !== undefined) {
    return { id: 0, major: Math.floor(capability / 10), minor: capability % 10, name: job.target.name, isDla };
  }
  if (device === null) throw new TrtorchError("internal", `a wrapped module for ${job.target.name} without a device`);
  return { id: 0, major: device.major, minor: device.minor, name: device.name, isDla };
}

function platform(): WrappedModule["platform"] {
  if (process.platform === "win32") return "windows_x86_64";
  return process.arch === "arm64" ? "linux_aarch64" : "linux_x86_64";
}
