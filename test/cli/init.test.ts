import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, statSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { linkPackage, sh, succeeded } from "../pipelines/workspace.js";
import { tree, trtorch, write } from "./project.js";

const FIXTURES = fileURLToPath(new URL("../fixtures/", import.meta.url));
const skip = existsSync(fileURLToPath(new URL("../../dist/src/cli/start.js", import.meta.url)))
  ? false
  : "the program is not compiled: npm run build";

/** The scaffolded configs name TensorRT-RTX; what is tested here needs no library. */
const ON_CPU = "sed -i 's/backend: tensorrt-rtx/backend: onnxruntime/; /^targets:/d' trtorch.config.yaml";

t.test("a new project: checked and built by its own scripts", { skip }, async (t) => {
  const root = t.testdir({});
  const made = await trtorch(root, ["init", "my models", "--template", "new"]);
  t.equal(
    made.stdout,
    `wrote my models/README.md
wrote my models/package.json
wrote my models/models/export.py
wrote my models/trtorch.config.yaml
added engines/ and .trtorch-build/ to my models/.gitignore
next: npm install, npm run setup, then \`npm run check\` and \`npm run engines\`
`,
  );
  const project = join(root, "my models");
  t.equal(JSON.parse(readFileSync(join(project, "package.json"), "utf8")).name, "my-models");
  cpSync(join(FIXTURES, "models/lenet/export.pt2"), join(project, "models/model.pt2"));
  linkPackage(project);
  const check = sh(project, "npm run --silent check");
  succeeded(t, "npm run check", check);
  t.match(check.stdout, /^model: supported; /m);
  succeeded(t, "npm run engines", sh(project, `${ON_CPU} && npm run --silent engines`));
  t.ok(existsSync(join(project, "engines/model/fp16-cpu/model.onnx")));
  t.ok(existsSync(join(project, "engines/report.html")));

  const again = await trtorch(root, ["init", "my models", "--template", "new"]);
  t.match(again.stdout, "kept my models/package.json, which was there\n", "nothing is overwritten");
  t.equal(again.code, 0);
});

t.test(
  "a new project's model is exported by PyTorch and held against it",
  {
    skip: skip || (process.env.TRTORCH_TEST_PYTHON === undefined ? "TRTORCH_TEST_PYTHON is not set" : false),
  },
  async (t) => {
    const root = t.testdir({});
    await trtorch(root, ["init", "--template", "new"]);
    linkPackage(root);
    succeeded(t, "export.py", sh(root, `"${process.env.TRTORCH_TEST_PYTHON}" models/export.py`));
    succeeded(
      t,
      "with golden",
      sh(root, `${ON_CPU} && sed -i 's/# golden/golden/' trtorch.config.yaml && npm run engines`),
    );
    const report = JSON.parse(readFileSync(join(root, "engines/model/fp16-cpu/report.json"), "utf8"));
    t.equal(report.comparison[0].passed, true);
  },
);

t.test("a package of an existing monorepo, with the task of its runner", { skip }, async (t) => {
  const root = t.testdir({});
  t.match(await trtorch(root, ["init", "--template", "monorepo"]), { code: 2, stderr: /this is no monorepo/ });
  write(root, { "package.json": '{ "workspaces": ["libs/*"] }', "turbo.json": "{}", "nx.json": "{}" });
  const made = await trtorch(root, ["init", "--template", "monorepo", "--json"]);
  t.same(
    JSON.parse(made.stdout).written.map((file: string) => file.slice(root.length + 1)),
    ["package.json", "trtorch.config.yaml", "turbo.json", "project.json"].map((file) => `libs/tensorrt/${file}`),
  );
  t.match(readFileSync(join(root, "libs/tensorrt/project.json"), "utf8"), "--config libs/tensorrt/trtorch.config.yaml");
  for (const file of ["package.json", "turbo.json", "project.json"]) {
    t.doesNotThrow(() => JSON.parse(readFileSync(join(root, "libs/tensorrt", file), "utf8")), file);
  }
  const project = join(root, "libs/tensorrt");
  cpSync(join(FIXTURES, "models/lenet/export.pt2"), join(project, "models/model.pt2"));
  linkPackage(root);
  mkdirSync(join(project, "node_modules"));
  symlinkSync(join(root, "node_modules/.bin"), join(project, "node_modules/.bin"));
  succeeded(t, "npm run engines", sh(project, `${ON_CPU} && npm run --silent engines`));
});

t.test("a custom converter: its test passes, and a model that needs it builds", { skip }, async (t) => {
  const root = t.testdir({});
  mkdirSync(join(root, "models"));
  cpSync(join(FIXTURES, "exported/custom_op.pt2"), join(root, "models/custom.pt2"));
  write(root, {
    "trtorch.config.yaml": "version: 1\n# the CPU\nbackend: onnxruntime\nmodels:\n  - source: models/custom.pt2\n",
  });
  linkPackage(root);
  t.equal((await trtorch(root, ["check"])).code, 1, "without it the model is not supported");
  const made = await trtorch(root, ["init", "--template", "converter"]);
  t.match(made.stdout, /^wrote converters\/scale\.ts\nwrote test\/scale\.test\.ts\nwrote trtorch\.config\.yaml\n/);
  t.match(
    readFileSync(join(root, "trtorch.config.yaml"), "utf8"),
    /# the CPU\n(.*\n)*converters:\n {2}- \.\/converters\/\*\.ts\n/,
  );

  const tsx = import.meta.resolve("tsx");
  const own = spawnSync(process.execPath, ["--import", tsx, "--test", "test/scale.test.ts"], {
    cwd: root,
    encoding: "utf8",
    env: { PATH: process.env.PATH },
  });
  succeeded(t, "its test", own);

  // The fixture's operator has another namespace.
  succeeded(t, "renamed", sh(root, "sed -i s/my_ops::/tests::/ converters/scale.ts"));
  succeeded(t, "build", sh(root, "node_modules/.bin/trtorch-build build"));
  t.match(readFileSync(join(root, "engines/custom/fp32-cpu/report.md"), "utf8"), "converters/scale.ts");
});

t.test("pipelines go where their machines look for them", async (t) => {
  const cases: [string, string[]][] = [
    [
      "github",
      [".github/actions/trtorch-build/action.yml", ".github/workflows/engines.yml", ".github/workflows/nightly.yml"],
    ],
    ["gitlab", [".gitlab-ci.yml"]],
    ["slurm", ["slurm/build-array.sh", "slurm/submit.sh"]],
    ["kubernetes", ["kubernetes/build-job.yaml", "kubernetes/merge-job.yaml"]],
  ];
  for (const [name, files] of cases) {
    const root = t.testdir({});
    t.equal((await trtorch(root, ["init", "--pipeline", name])).code, 0);
    t.same(tree(root), files);
    if (name === "slurm") t.ok(statSync(join(root, "slurm/submit.sh")).mode & 0o100, "it can be run");
  }
  t.match(await trtorch(t.testdir({}), ["init", "--pipeline", "jenkins"]), { code: 2 });
});
