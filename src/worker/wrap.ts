import {
  type EngineDevice,
  engineAttribute,
  type WrappedModule,
  wrappedTypeName,
  writeWrappedModule,
} from "../artifacts/module.js";
import type { Network } from "../network/network.js";
import { stitchWhole } from "../partition/stitch.js";
import type { Device } from "../plan/device.js";
import type { Job } from "../plan/job.js";
import { TrtorchError } from "../util/errors.js";
import type { ConvertedModel } from "./convert-model.js";

/** The module around the one engine of a method that TensorRT runs whole. `network` is what the engine was built from. */
export function wrapWhole(
  job: Job,
  model: ConvertedModel,
  network: Network,
  plan: Uint8Array,
  device: Device | null,
): Generator<Uint8Array> {
  const typeName = wrappedTypeName(model.typeName);
  const attribute = engineAttribute(typeName);
  const { inputs, outputStructure } = model;
  return writeWrappedModule({
    typeName,
    method: job.method,
    graph: stitchWhole(typeName, job.method, attribute, model.graph, { network, inputs, outputStructure }),
    engines: [
      {
        attribute,
        plan,
        inputNames: network.inputs.map(({ name }) => name),
        outputNames: network.outputs.map(({ name }) => name),
      },
    ],
    ...runtimeOf(job, device),
  });
}

/** What the runtime is told about where the engines run. */
export function runtimeOf(
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
