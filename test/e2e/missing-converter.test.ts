import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { readJson, tree } from "../cli/project.js";
import { command } from "./command.js";

const LENET = fileURLToPath(new URL("../fixtures/models/lenet/script.ts", import.meta.url));

t.test("a model whose operator has no converter fails and says what to do; the others are built", async (t) => {
  const root = t.testdir({
    converters: {
      "no-flatten.ts": `import { withoutConverter } from "trtorch-build";
export const flatten = withoutConverter("aten::flatten.using_ints");
`,
    },
    "trtorch.config.yaml": `version: 1
backend: onnxruntime
models:
  - { name: without, source: lenet.ts, inputs: [[1, 1, 32, 32]], converters: [converters/no-flatten.ts], fallback: false }
  - { name: whole, source: lenet.ts, inputs: [[1, 1, 32, 32]] }
`,
  });
  copyFileSync(LENET, join(root, "lenet.ts"));
  const { code, stdout, stderr } = command(root, "build");
  t.equal(code, 1);
  t.equal(stderr, "");
  t.match(stdout, /without\/fp32-cpu: failed: no converter for aten::flatten\.using_ints\n/);
  t.match(stdout, /^ {2}%\w+ : Tensor = aten::flatten\(%\w+, %\w+, %\w+\)/m, "the node");
  t.match(stdout, /^ {2}at examples\/models\/make_models\.py:\d+$/m, "the user's line");
  t.match(
    stdout,
    'hint: Register one: export const op = converter("aten::flatten.using_ints(Tensor self, int start_dim=0, int end_dim=-1) -> Tensor", (ctx, args) => ...) in a file named under converters: in the config.',
    "the schema, and how to register a converter",
  );
  t.notMatch(stdout, /\n\s+at .*\.js:\d+/, "no stack");
  t.match(stdout, /whole\/fp32-cpu: built in/);
  t.match(stdout, /^2 jobs: 1 built, 1 failed in /m);
  t.same(
    tree(join(root, "engines")).filter((file) => file.endsWith(".onnx")),
    ["whole/fp32-cpu/model.onnx"],
  );
  t.match(readJson(root, "engines/summary.json"), { jobs: [{ status: "failed" }, { status: "built" }] });
});
