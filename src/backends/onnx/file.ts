import { basename } from "node:path";
import type { Network } from "../../network/network.js";
import { writeFileAtomic } from "../../util/atomic-write.js";
import { toOnnx } from "./export.js";
import { encodeModel, type OnnxModel, type TensorProto } from "./proto.js";

/** A protobuf message has 2 GiB at most. */
const LARGEST_MESSAGE = 2 ** 31 - 2 ** 24;

/** Smaller tensors stay in the model file, where shape inference reads them. */
const SMALLEST_EXTERNAL = 1024;

/** Where readers map the data file, pages start at multiples of this. */
const ALIGNMENT = 4096;

/**
 * Writes the network as a portable `.onnx` file; weights beyond what one such file holds stand in `<file>.data` beside it.
 *
 * @returns the paths written.
 * @throws TrtorchError `artifact` where the disk refuses.
 */
export function writeOnnx(network: Network, file: string): Promise<string[]> {
  return writeModel(toOnnx(network), file);
}

/** Bytes of a model's weights. */
export function weightBytes(model: OnnxModel): number {
  return model.graph.initializer.reduce((sum, tensor) => sum + (tensor.rawData?.byteLength ?? 0), 0);
}

export function exceedsMessage(model: OnnxModel): boolean {
  return weightBytes(model) > LARGEST_MESSAGE;
}

export async function writeModel(model: OnnxModel, file: string, external = exceedsMessage(model)): Promise<string[]> {
  if (!external) {
    await writeFileAtomic(file, encodeModel(model));
    return [file];
  }
  const dataFile = `${file}.data`;
  const pieces: Uint8Array[] = [];
  let offset = 0;
  const initializer = model.graph.initializer.map((tensor): TensorProto => {
    const { rawData, ...rest } = tensor;
    if (rawData === undefined || rawData.byteLength < SMALLEST_EXTERNAL) return tensor;
    const padding = (ALIGNMENT - (offset % ALIGNMENT)) % ALIGNMENT;
    if (padding > 0) pieces.push(new Uint8Array(padding));
    pieces.push(rawData);
    const start = offset + padding;
    offset = start + rawData.byteLength;
    const entries = { location: basename(dataFile), offset: start, length: rawData.byteLength };
    const externalData = Object.entries(entries).map(([key, value]) => ({ key, value: String(value) }));
    return { ...rest, dataLocation: 1, externalData };
  });
  // The model last: where it stands, its data does too.
  await writeFileAtomic(dataFile, pieces);
  await writeFileAtomic(file, encodeModel({ ...model, graph: { ...model.graph, initializer } }));
  return [file, dataFile];
}
