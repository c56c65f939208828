import { readFileSync } from "node:fs";
import { describeNetwork } from "../../../src/backends/tensorrt/index.js";
import { mapFile } from "../../../src/util/mapped-file.js";
import { convolutions, linear } from "./networks.js";

// Run by build.test.ts in a process of its own: adds a network whose weights are a mapped file to the library, and prints
// by how much the process's private memory grew.

function privateMemory(): number {
  const kilobytes = /RssAnon:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
  return Number(kilobytes) * 1024;
}

await describeNetwork(convolutions(1), { flavour: "rtx" });
const before = privateMemory();
const bytes = mapFile(process.argv[2] as string);
const network = linear(bytes, bytes.length / 4096, 1024);
const described = await describeNetwork(network, { flavour: "rtx" });
console.log(JSON.stringify({ grownBy: privateMemory() - before, tensors: described.length }));
