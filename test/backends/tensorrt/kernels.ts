import { buildEngine } from "../../../src/backends/tensorrt/index.js";
import type { Network } from "../../../src/network/network.js";

/** The kernels of a network's engine for sm_89 in the order they run in, as TensorRT-RTX lists them at the end of a build. */
export async function kernelsOf(network: Network): Promise<string[]> {
  const lines: string[] = [];
  await buildEngine(network, {
    flavour: "rtx",
    targets: ["sm_89"],
    options: { profilingVerbosity: "detailed" },
    logLevel: "debug",
    onEvent: (event) => event.type === "log" && lines.push(event.line),
  });
  const list = lines.find((line) => line.startsWith("Layers:"));
  return [...(list ?? "").matchAll(/^Name: ([^,]*)/gm)].map(([, name]) => name as string);
}
