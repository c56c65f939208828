import { readFileSync } from "node:fs";
import t from "tap";
import { z } from "zod";
import { configJsonSchema } from "../../src/config/json-schema.js";
import { configSchema } from "../../src/config/schema.js";

const published = JSON.parse(readFileSync(new URL("../../config.schema.json", import.meta.url), "utf8")) as object;

t.test("config.schema.json is what the parser's schema gives", async (t) => {
  t.same(published, JSON.parse(JSON.stringify(configJsonSchema())), "run src/config/write-json-schema.ts");
});

const model = { source: "m.ts", inputs: [[1, 3]] };
const top = { version: 1, models: [model] };
const SAMPLES: readonly [string, boolean, unknown][] = [
  ["the least", true, { version: 1, models: [{ source: "m.pt2" }] }],
  ["a schema line", true, { $schema: "x", ...top }],
  [
    "all of the top",
    true,
    {
      ...top,
      out_dir: "e",
      cache_dir: "c",
      backend: "onnxruntime",
      targets: ["cpu"],
      concurrency: 2,
      devices: ["0"],
      on_failure: "kill",
      store: ["s", { location: "x", read: false }],
    },
  ],
  ["a target group", true, { ...top, targets: [["sm_86", "sm_89"], "device"] }],
  ["other spellings", true, { ...top, precisions: ["half", "float32", "bfloat16"] }],
  [
    "ranges",
    true,
    {
      ...top,
      models: [
        {
          source: "m.ts",
          inputs: [
            { name: "x", dtype: "long", min: [1], opt: [1], max: [2] },
            [{ min: 1, opt: 1, max: 2, symbol: "n" }],
          ],
        },
      ],
    },
  ],
  [
    "model options",
    true,
    {
      ...top,
      models: [
        {
          ...model,
          fallback: false,
          emit: ["onnx"],
          tolerance: { atol: 1 },
          timeout: "5m",
          retries: 0,
          torch_tensorrt: "2.11",
          builder: { workspace: "4GiB", optimization_level: 5, max_aux_streams: 0, profiling_verbosity: "detailed" },
        },
      ],
    },
  ],
  ["no version", false, { models: [model] }],
  ["another version", false, { version: 2, models: [model] }],
  ["no models", false, { version: 1, models: [] }],
  ["an unknown key", false, { ...top, precison: [] }],
  ["an unknown key in a model", false, { ...top, models: [{ ...model, nam: "x" }] }],
  ["an unknown key in an input", false, { ...top, models: [{ source: "m", inputs: [{ shap: [1] }] }] }],
  ["an unknown precision", false, { ...top, precisions: ["fp8"] }],
  ["an unknown target", false, { ...top, targets: ["ampere"] }],
  ["a fraction of a dim", false, { ...top, models: [{ source: "m", inputs: [[1.5]] }] }],
  ["a negative dim", false, { ...top, models: [{ source: "m", inputs: [[-1]] }] }],
  ["fallback: true", false, { ...top, models: [{ ...model, fallback: true }] }],
  ["a size without sense", false, { ...top, models: [{ ...model, builder: { workspace: "much" } }] }],
  ["a level out of range", false, { ...top, models: [{ ...model, builder: { optimization_level: 6 } }] }],
  ["text for a list", false, { ...top, converters: "a.ts" }],
];

t.test("the published schema and the parser agree on valid and invalid configs", async (t) => {
  const validator = z.fromJSONSchema(published as Parameters<typeof z.fromJSONSchema>[0]);
  for (const [name, valid, sample] of SAMPLES) {
    t.equal(configSchema.safeParse(sample).success, valid, `parser: ${name}`);
    t.equal(validator.safeParse(sample).success, valid, `published schema: ${name}`);
  }
});
