import { fileURLToPath } from "node:url";
import t from "tap";
import { buildEngine } from "../../../src/backends/tensorrt/index.js";
import { setup } from "../../../src/backends/tensorrt/setup.js";
import { load } from "../../../src/index.js";
import type { Precision } from "../../../src/plan/job.js";

await setup({ flavours: ["rtx"] });

/** The kernels of an engine in the order they run in, as TensorRT-RTX lists them at the end of a build. */
async function kernels(precision: Precision): Promise<string[]> {
  const model = await load(fileURLToPath(new URL("../../fixtures/models/bert_tiny/trace.ts", import.meta.url)));
  const ids = { dtype: "int64", shape: [1, 16] } as const;
  const network = await model.network({ backend: "tensorrt-rtx", precision, inputs: [ids, ids] });
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

t.test(
  "attention with a padding mask is one kernel in half precision, and hidden keys take none behind it",
  async (t) => {
    const names = await kernels("fp16");
    const attention = names.flatMap((name, i) => (name.startsWith("_gemm_mha") ? [i] : []));
    t.equal(attention.length, 2, "one a layer");
    for (const i of attention) t.match(names[i + 1], /attention\.output\.dense/);
  },
);

t.test("in single precision, what the mask hides is told within softmax and the values' own kernels", async (t) => {
  const names = await kernels("fp32");
  const own = names.filter((name) => /Sele/.test(name));
  t.ok(own.length > 0);
  for (const name of own) t.match(name, /Maxr.*ExpSum|AddReshTran/);
});
