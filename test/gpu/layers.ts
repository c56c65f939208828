/**
 * Every kind of layer, static and with a range, held against the full TensorRT on this machine: the same types and dims as
 * our inference says, and an engine for each static one as far as SECONDS go. `layers.js [SECONDS]`
 */
import { buildEngine, describeNetwork, libraryVersion } from "../../src/backends/tensorrt/index.js";
import type { LayerType } from "../../src/network/layers.js";
import { Network } from "../../src/network/network.js";
import { toDims } from "../../src/network/symbolic.js";
import { TrtorchError } from "../../src/util/errors.js";
import { type Batch, cases, DYNAMIC } from "../network/layer-cases.js";

/** The TensorRT 10 release that a layer type came with. */
const CAME_WITH: Partial<Record<LayerType, number>> = { kCUMULATIVE: 8, kATTENTION: 14 };

const request = { flavour: "trt10" } as const;
const deadline = performance.now() + 1000 * Number(process.argv[2] ?? 120);
const minor = Number((await libraryVersion("trt10")).split(".")[1]);
const counts = { agree: 0, refused: 0, built: 0, failed: 0 };
for (const batch of [2, DYNAMIC] as const) {
  for (const { name, covers, build } of cases) {
    const title = `${name}, ${batch === 2 ? "static" : "dynamic"}`;
    const needed = Math.max(...covers.map((type) => CAME_WITH[type] ?? 0));
    try {
      counts[await check(build, batch, minor < needed ? needed : null)]++;
    } catch (error) {
      counts.failed++;
      console.log(`${title}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}
const { agree, refused, built, failed } = counts;
console.log(
  `dims and types agree: ${agree + built}, of them built: ${built}, refused beforehand: ${refused}, failed: ${failed}`,
);
process.exit(failed > 0 ? 1 : 0);

async function check(
  build: (network: Network, batch: Batch) => ReturnType<(typeof cases)[number]["build"]>,
  batch: Batch,
  needed: number | null,
): Promise<"agree" | "refused" | "built"> {
  const network = new Network();
  for (const [i, tensor] of build(network, batch).entries()) network.markOutput(tensor, `out${i}`);
  if (needed !== null) {
    const error = await describeNetwork(network, request).catch((thrown: unknown) => thrown);
    if (error instanceof TrtorchError && error.message.includes(`needs TensorRT 10.${needed} or newer`))
      return "refused";
    throw new Error(`not refused beforehand, but ${String(error)}`);
  }
  for (const { tensor, type, dims } of await describeNetwork(network, request)) {
    const [ours, theirs] = [[tensor.type, ...toDims(tensor.dims)].join(), [type, ...dims].join()];
    if (ours !== theirs) throw new Error(`${tensor.name} is ${ours}, the library says ${theirs}`);
  }
  if (batch !== 2 || performance.now() > deadline) return "agree";
  const { engine } = await buildEngine(network, request);
  if (engine.byteLength < 1000) throw new Error("no engine");
  return "built";
}
