import { fileURLToPath } from "node:url";
import t from "tap";
import { createSession } from "../../src/backends/onnx/runtime.js";
import { describeNetwork, findLibrary } from "../../src/backends/tensorrt/index.js";
import { type InputDeclaration, load, readNpz, Tensor } from "../../src/index.js";
import type { Network } from "../../src/network/network.js";
import { toDims } from "../../src/network/symbolic.js";
import type { Precision } from "../../src/plan/job.js";
import { compare } from "../../src/worker/comparison.js";
import { entry } from "../../src/worker/golden.js";

// The example models: their numbers on the CPU reference against those that PyTorch recorded, and the type and dims of
// every tensor against what TensorRT-RTX answers for the same network.

const TOLERANCE = { atol: 0, rtol: 1e-4 };
const BATCHES = { min: [1, 1, 32, 32], opt: [8, 1, 32, 32], max: [32, 1, 32, 32] };

interface Example {
  readonly folder: string;
  readonly file: string;
  /** None for torch.export, which says what its inputs are. */
  readonly inputs?: readonly InputDeclaration[];
  /** Batches to run besides the recorded one, with the recorded row repeated. */
  readonly batches?: readonly number[];
}

const image = { shape: [1, 3, 224, 224] };
const tokens = { dtype: "int64", shape: [1, 16] } as const;
const examples: readonly Example[] = [
  { folder: "lenet", file: "trace.ts", inputs: [BATCHES], batches: [8, 17, 32] },
  { folder: "lenet", file: "script.ts", inputs: [BATCHES], batches: [8, 17, 32] },
  { folder: "lenet", file: "script.ts", inputs: [{ shape: [1, 1, 32, 32] }] },
  { folder: "lenet", file: "export.pt2", batches: [8, 16] }, // exported for 1..16
  { folder: "squeezenet1_1", file: "trace.ts", inputs: [image] },
  { folder: "bert_tiny", file: "trace.ts", inputs: [tokens, tokens] },
  { folder: "bert_tiny", file: "export.pt2" },
];

const pathOf = (folder: string, file: string): string =>
  fileURLToPath(new URL(`../fixtures/models/${folder}/${file}`, import.meta.url));

function networkOf({ folder, file, inputs }: Example, precision: Precision = "fp32"): Promise<Network> {
  return load(pathOf(folder, file)).network({ precision, ...(inputs !== undefined && { inputs }) });
}

/** The tensor with its first and only row so many times. */
function repeated(tensor: Tensor, times: number): Tensor {
  const row = Array.from(tensor.toNumbers() as ArrayLike<number>);
  const values = Array.from({ length: times }, () => row).flat();
  return Tensor.of(tensor.dtype, [times, ...tensor.sizes.slice(1)], values);
}

function rtxLibrary(): string | undefined {
  try {
    return findLibrary("rtx");
  } catch {
    return undefined;
  }
}

for (const example of examples) {
  const name = `${example.folder}/${example.file}${example.inputs?.[0] === BATCHES ? ", batch 1..32" : ""}`;
  t.test(`${name}: numbers as PyTorch's`, async (t) => {
    const golden = pathOf(example.folder, "io.npz");
    const recorded = readNpz(golden);
    const network = await networkOf(example);
    const session = await createSession(network);
    t.teardown(() => session.release());
    for (const batch of [1, ...(example.batches ?? [])]) {
      const value = (key: string): Tensor => repeated(entry(recorded, golden, key), batch);
      const inputs = network.inputs.map((input, i) => [input.name, value(`in${i}`)] as const);
      const outputs = await session.run(Object.fromEntries(inputs));
      for (const [i, { name: output }] of network.outputs.entries()) {
        const found = compare(output, outputs[output] as Tensor, value(`out${i}`), TOLERANCE);
        t.ok(found.passed, `batch ${batch}: ${output} is off by ${found.maxAbsError}`);
        t.ok(found.maxAbsReference > 0.01, "the recorded numbers say something");
      }
    }
  });

  const library = rtxLibrary();
  const skip = library === undefined && "TensorRT-RTX is not here";
  t.test(`${name}: types and dims as TensorRT-RTX's`, { skip }, async (t) => {
    for (const precision of ["fp32", "fp16"] as const) {
      const network = await networkOf(example, precision);
      const described = await describeNetwork(network, { flavour: "rtx", ...(library !== undefined && { library }) });
      const computed = network.layers.flatMap((layer) => layer.outputs);
      t.equal(new Set(described.map(({ tensor }) => tensor)).size, computed.length + network.inputs.length, precision);
      for (const { tensor, type, dims } of described)
        t.same([type, ...dims], [tensor.type, ...toDims(tensor.dims)], `${precision}: ${tensor.name}`);
    }
  });
}
