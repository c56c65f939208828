import { once } from "node:events";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { buildEngine, libraryVersion } from "../../../src/backends/tensorrt/index.js";
import { convolutions } from "./networks.js";

// Run by build.test.ts in a process of its own: Workers and the process itself exit in the middle of builds.

/** Resolves with the library's first sign of life. */
function begin(): Promise<void> {
  return new Promise((resolve) => {
    const build = buildEngine(convolutions(200), { flavour: "rtx", targets: ["sm_89"], onEvent: () => resolve() });
    void build.catch(() => {});
  });
}

async function work(exits: boolean): Promise<Worker> {
  // tsx registers itself on the main thread only.
  const script = `import("${import.meta.resolve("tsx/esm/api")}").then(({ register }) => {
    register();
    return import("${import.meta.url}");
  });`;
  const worker = new Worker(script, { eval: true, workerData: exits });
  await once(worker, exits ? "exit" : "message");
  return worker;
}

if (isMainThread) {
  const before = await libraryVersion("rtx");
  await work(true);
  console.log(before === (await libraryVersion("rtx")) ? "goes on" : "another library");
  // Builds take turns: the Worker's has the library, and this process's waits for it.
  await work(false);
  void buildEngine(convolutions(1), { flavour: "rtx", targets: ["sm_89"] }).catch(() => {});
  process.exit(3);
} else {
  await begin();
  if (workerData === true) process.exit();
  parentPort?.postMessage("building");
}
