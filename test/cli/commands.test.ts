import { copyFileSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { project, tree, trtorch, write } from "./project.js";

const MODELS = fileURLToPath(new URL("../fixtures/models/lenet/", import.meta.url));

t.test("check: what is supported, and exit code 1 where something is not", async (t) => {
  const root = t.testdir({});
  for (const file of ["trace.ts", "export.pt2"]) copyFileSync(join(MODELS, file), join(root, file));
  const good = await trtorch(root, ["check", "trace.ts", "--input", "1x1x32x32"]);
  t.match(good.stdout, /^trace: supported; \d+ operators, \d+ layers, 81194 parameters\n$/);
  t.equal(good.code, 0);
  const json = await trtorch(root, ["check", "export.pt2", "--json"]);
  t.match(JSON.parse(json.stdout), { models: [{ model: "export", supported: true, parameters: { elements: 81194 } }] });
  write(root, { "broken.ts": "not an archive" });
  const broken = await trtorch(root, ["check", "broken.ts", "trace.ts", "--input", "1x1x32x32"]);
  t.equal(broken.code, 1);
  t.match(
    broken.stdout,
    /^broken: this is no ZIP archive, .+\n {2}at broken\.ts\n {2}hint: Save the model with torch\.jit\.save .+\ntrace: supported; /,
  );
  const shape = await trtorch(root, ["check", "trace.ts", "--input", "1x3x32x32"]);
  t.equal(shape.code, 1);
  t.match(
    shape.stdout,
    /\n {2}aten::\w+: the convolution takes 1 channel, its input kFLOAT\[1, 3, 32, 32\] has 3\n {4}at \S+\.py:\d+\n/,
  );
  const program = await trtorch(root, ["check", "broken.ts", "--input", "1", "--json"]);
  t.match(JSON.parse(program.stdout), {
    models: [{ model: "broken", error: /^this is no ZIP/, hint: /^Save/, location: { file: join(root, "broken.ts") } }],
  });
});

t.test("inspect: models, and files that are none", async (t) => {
  const root = t.testdir({ "text.ts": "hello" });
  copyFileSync(join(MODELS, "export.pt2"), join(root, "lenet.pt2"));
  const shown = await trtorch(root, ["inspect", "lenet.pt2"]);
  t.match(
    shown.stdout,
    /^lenet\.pt2: torch\.export, \d+\.\d kB\n\nmethod forward: 81194 parameters\n {2}input x: float32 \[1\.\.16, 1, 32, 32\]\n/,
  );
  copyFileSync(fileURLToPath(new URL("../fixtures/exported/unbounded.pt2", import.meta.url)), join(root, "open.pt2"));
  t.match((await trtorch(root, ["inspect", "open.pt2"])).stdout, /: float32 \[1\.\.∞, 3, 1\.\.∞\]\n/);
  t.equal((await trtorch(root, ["inspect", "text.ts"])).code, 2);
  write(root, { "junk.onnx": "hello" });
  t.match(await trtorch(root, ["inspect", "junk.onnx"]), {
    code: 1,
    stderr: /^error: junk\.onnx is no ONNX file that onnxruntime reads: /,
  });
  t.equal((await trtorch(root, ["inspect", "none"])).stderr, "error: cannot read none: there is no such file\n");
});

t.test("init writes a config that a build reads, once", async (t) => {
  const root = t.testdir({ ".gitignore": "node_modules/", src: { "code.ts": "export {};" } });
  mkdirSync(join(root, "models"));
  for (const file of ["trace.ts", "export.pt2"]) copyFileSync(join(MODELS, file), join(root, "models", file));
  const made = await trtorch(root, ["init"]);
  t.equal(
    made.stdout,
    `wrote trtorch.config.yaml
added engines/ and .trtorch-build/ to .gitignore
next: look at the inputs, then \`trtorch-build plan\` and \`trtorch-build\`
`,
  );
  t.equal(readFileSync(join(root, ".gitignore"), "utf8"), "node_modules/\nengines/\n.trtorch-build/\n");
  t.equal(
    (await trtorch(root, ["plan"])).stdout,
    `stale  export/fp16-sm_80+sm_86+sm_89+sm_120  not built yet
stale  trace/fp16-sm_80+sm_86+sm_89+sm_120   not built yet
0 fresh, 2 to build
`,
  );
  t.equal(
    (await trtorch(root, ["init"])).stderr,
    "error: trtorch.config.yaml is there already\n  hint: It stays as it is. Remove it to have one written anew.\n",
  );
});

t.test("init takes inputs from what is recorded beside a model", async (t) => {
  const root = t.testdir({});
  for (const file of ["trace.ts", "io.npz"]) copyFileSync(join(MODELS, file), join(root, file));
  t.equal((await trtorch(root, ["init"])).code, 0);
  const written = readFileSync(join(root, "trtorch.config.yaml"), "utf8");
  t.match(written, /- source: "trace\.ts"\n {4}inputs: .*\n {6}- \[1, 1, 32, 32\]\n {4}golden: "io\.npz"\n$/);
  t.equal((await trtorch(root, ["plan"])).code, 0);
});

t.test("init keeps a config of either name, and writes nothing beside a broken one", async (t) => {
  const root = t.testdir({});
  const config = "version: 1\nbackend: onnxruntime\nmodels: [{ source: none.pt2 }]\n";
  write(root, { "trtorch.config.yml": config });
  t.match(await trtorch(root, ["init"]), { code: 2, stderr: /^error: trtorch\.config\.yml is there already\n/ });
  t.match((await trtorch(root, ["init", "--template", "new"])).stdout, "kept trtorch.config.yml, which was there\n");
  t.equal((await trtorch(root, ["init", "--template", "converter"])).code, 0);
  t.match(readFileSync(join(root, "trtorch.config.yml"), "utf8"), "converters:\n  - ./converters/*.ts\n");
  t.notOk(tree(root).includes("trtorch.config.yaml"));

  for (const [broken, said] of [
    ["version: [\n", /^trtorch\.config\.yml:2:1: error: Flow sequence/],
    [`${config}converters: a.ts\n`, /^trtorch\.config\.yml:4:13: error: expected a list, got "a\.ts"/],
  ] as const) {
    const folder = t.testdir({});
    write(folder, { "trtorch.config.yml": broken });
    t.match(await trtorch(folder, ["init", "--template", "converter"]), { code: 2, stderr: said });
    t.same(tree(folder), ["trtorch.config.yml"]);
  }
  const monorepo = t.testdir({});
  write(monorepo, { "package.json": "{ workspaces: [" });
  t.match(await trtorch(monorepo, ["init", "--template", "monorepo"]), { code: 2, stderr: /^package\.json:1:/ });
});

t.test("plan and fingerprint for other programs", async (t) => {
  const root = t.testdir({});
  project(root, ["a", "b"]);
  t.same(JSON.parse((await trtorch(root, ["plan", "--format", "github-matrix", "--filter", "a"])).stdout), {
    include: [
      { id: "a/fp32-sm_86", model: "a", precision: "fp32", target: "sm_86" },
      { id: "a/fp32-sm_89", model: "a", precision: "fp32", target: "sm_89" },
    ],
  });
  t.same(JSON.parse((await trtorch(root, ["plan", "--format", "github-matrix", "--shards", "2"])).stdout), {
    include: [{ shard: "1/2" }, { shard: "2/2" }],
  });
  t.same(JSON.parse((await trtorch(root, ["plan", "--shards", "1"])).stdout), { include: [{ shard: "1/1" }] });
  t.match(JSON.parse((await trtorch(root, ["plan", "--json", "--affected-by", "models/b.ts"])).stdout), {
    jobs: [
      { id: "b/fp32-sm_86", fresh: false, reasons: ["not built yet"], placement: { slot: "cpu" } },
      { id: "b/fp32-sm_89" },
    ],
  });
  const before = await trtorch(root, ["fingerprint"]);
  t.match(before.stdout, /^[0-9a-f]{64}\n$/);
  t.equal((await trtorch(root, ["fingerprint"])).stdout, before.stdout);
  write(root, { "models/a.ts": "other" });
  t.not((await trtorch(root, ["fingerprint"])).stdout, before.stdout);
});

t.test("mistakes of a config: all of them, exit code 2, nothing built", async (t) => {
  const root = t.testdir({});
  write(root, {
    "trtorch.config.yaml": "version: 1\nmodles: []\nmodels:\n  - { source: a.pt2, precisions: [fp17] }\n",
  });
  const { code, stdout, stderr } = await trtorch(root, ["build"]);
  t.same([code, stdout], [2, ""]);
  t.equal(
    stderr,
    `trtorch.config.yaml:2:1: error: unknown key "modles" in the config
    2 | modles: []
      | ^^^^^^
  hint: did you mean "models"?

trtorch.config.yaml:4:15: error: there is no file a.pt2
    4 |   - { source: a.pt2, precisions: [fp17] }
      |               ^^^^^
  hint: paths are relative to .

trtorch.config.yaml:4:35: error: unknown precision "fp17"
    4 |   - { source: a.pt2, precisions: [fp17] }
      |                                   ^^^^
  hint: did you mean "fp16"? known: fp32, fp16, bf16
`,
  );
  t.match(JSON.parse((await trtorch(root, ["build", "--json"])).stdout), {
    error: { code: "config", diagnostics: [{ file: "trtorch.config.yaml", line: 2, column: 1, length: 6 }, {}, {}] },
  });
});
