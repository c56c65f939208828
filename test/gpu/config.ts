/** Prints the config of the GPU run: `config.js WORK MODEL...`. */
import { join } from "node:path";
import { stringify } from "yaml";
import { BATCHES, jobName, PRECISIONS, readModel } from "./models.js";

const [work, ...names] = process.argv.slice(2) as [string, ...string[]];
const models = names.flatMap((name) =>
  BATCHES.map((batch) => {
    const { file, inputs } = readModel(work, name, batch);
    return {
      name: jobName(name, batch),
      source: file,
      inputs: inputs.map(({ dtype, sizes }) => ({ dtype, shape: [...sizes] })),
    };
  }),
);
console.log(
  stringify({
    version: 1,
    out_dir: join(work, "engines"),
    backend: "tensorrt",
    targets: ["device"],
    precisions: [...PRECISIONS],
    defaults: { torch_tensorrt: "2.11", emit: ["engine", "report", "module"], fallback: false },
    models,
  }),
);
