import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { tree } from "../cli/project.js";
import { command } from "./command.js";

const LENET = fileURLToPath(new URL("../fixtures/models/lenet/trace.ts", import.meta.url));

t.test(
  "a wrong key, a wrong type and min > max: all in one run, with place and line, and nothing is built",
  async (t) => {
    const root = t.testdir({
      "trtorch.config.yaml": `version: 1
backend: onnxruntime
modles: []
concurrency: two
models:
  - name: good
    source: lenet.ts
    inputs: [[1, 1, 32, 32]]
  - name: bad
    source: lenet.ts
    inputs:
      - { min: [4, 1, 32, 32], opt: [8, 1, 32, 32], max: [1, 1, 32, 32] }
`,
    });
    copyFileSync(LENET, join(root, "lenet.ts"));
    const { code, stdout, stderr } = command(root, "build");
    t.equal(code, 2);
    t.equal(stdout, "");
    t.equal(
      stderr,
      `trtorch.config.yaml:3:1: error: unknown key "modles" in the config
    3 | modles: []
      | ^^^^^^
  hint: did you mean "models"?

trtorch.config.yaml:4:14: error: expected a number, got "two"
    4 | concurrency: two
      |              ^^^

trtorch.config.yaml:12:17: error: min 4 is more than max 1 in dim 0
   12 |       - { min: [4, 1, 32, 32], opt: [8, 1, 32, 32], max: [1, 1, 32, 32] }
      |                 ^
  hint: min <= opt <= max
`,
    );
    t.same(tree(root), ["lenet.ts", "trtorch.config.yaml"]);
  },
);
