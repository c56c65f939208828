import { fileURLToPath } from "node:url";
import t from "tap";
import { setup } from "../../../src/backends/tensorrt/setup.js";
import { load } from "../../../src/index.js";
import type { Precision } from "../../../src/plan/job.js";
import { kernelsOf } from "./kernels.js";

await setup({ flavours: ["rtx"] });

async function kernelsOfBert(precision: Precision): Promise<string[]> {
  const model = load(fileURLToPath(new URL("../../fixtures/models/bert_tiny/trace.ts", import.meta.url)));
  const ids = { dtype: "int64", shape: [1, 16] } as const;
  return kernelsOf(await model.network({ backend: "tensorrt-rtx", precision, inputs: [ids, ids] }));
}

t.test(
  "attention with a padding mask is one kernel in half precision, and the mask takes none behind it",
  async (t) => {
    const names = await kernelsOfBert("fp16");
    const attention = names.flatMap((name, i) => (name.startsWith("_gemm_mha") ? [i] : []));
    t.equal(attention.length, 2, "one a layer");
    for (const i of attention) t.match(names[i + 1], /attention\.output\.dense/);
  },
);

t.test("in single precision softmax's own kernel tells what the mask hides", async (t) => {
  const selecting = (await kernelsOfBert("fp32")).filter((name) => name.includes("Sele"));
  t.equal(selecting.length, 2, "one a layer");
  for (const name of selecting) t.match(name, /Maxr.*ExpSum/);
});
