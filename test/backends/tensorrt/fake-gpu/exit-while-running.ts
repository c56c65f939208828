import { loadEngine } from "../../../../src/backends/tensorrt/index.js";
import { Tensor } from "../../../../src/ir/tensor.js";

// Run by fake-gpu.test.ts as scenario.ts is. More engines are busy than libuv has threads: some have not begun at the exit.

const plan = Buffer.alloc(64);
plan.write("ftrt");
plan.set([10, 6, 0, 26], 24);
plan.write("GOOD", 28);
const engines = await Promise.all(Array.from({ length: 8 }, () => loadEngine(plan)));
const x = Tensor.of("float32", [1, 4], [50, 0, 0, 0]);
// One that has ended shows that the others are under way.
await engines[0]?.execute({ x });
for (const engine of engines) void engine.bench({ x }, { iterations: 20_000 }).catch(() => {});
setTimeout(() => process.exit(3), 100);
