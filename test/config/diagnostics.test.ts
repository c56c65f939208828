import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import type { Config } from "../../src/config/config.js";
import { type Diagnostic, formatDiagnostics, nearest, type Result } from "../../src/config/diagnostic.js";
import { loadCommandLine, loadConfig, outlineConfig } from "../../src/config/load.js";

const LENET = fileURLToPath(new URL("../fixtures/models/lenet/trace.ts", import.meta.url));
const FILES = ["models/lenet.ts", "models/bert.ts", "models/export.pt2", "models/lenet.npz", "converters/a.ts"];

function files(root: string): void {
  for (const file of FILES) {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, file), "");
  }
  copyFileSync(LENET, join(root, "models/bert.ts"));
}

async function load(root: string, text: string): Promise<Result<Config, Diagnostic[]>> {
  files(root);
  const file = join(root, "trtorch.config.yaml");
  writeFileSync(file, text);
  return loadConfig(file, root);
}

async function mistakes(root: string, text: string): Promise<string> {
  const result = await load(root, text);
  return result.ok ? "no mistakes" : formatDiagnostics(result.error);
}

t.test("a wrong key, a wrong type and min > max are all reported in one run", async (t) => {
  const config = `version: 1
precisons: [fp16]
models:
  - name: lenet
    source: models/lenet.ts
    method: 3
    inputs:
      - { name: x, min: [8, 1, 32, 32], opt: [8, 1, 32, 32], max: [4, 1, 32, 32] }
`;
  t.equal(
    await mistakes(t.testdir({}), config),
    `trtorch.config.yaml:2:1: error: unknown key "precisons" in the config
    2 | precisons: [fp16]
      | ^^^^^^^^^
  hint: did you mean "precisions"?

trtorch.config.yaml:6:13: error: expected a text, got 3
    6 |     method: 3
      |             ^
  hint: put it in quotes: "3"

trtorch.config.yaml:8:24: error: min 8 is more than max 4 in dim 0
    8 |       - { name: x, min: [8, 1, 32, 32], opt: [8, 1, 32, 32], max: [4, 1, 32, 32] }
      |                        ^
  hint: min <= opt <= max`
      .replace("8:24", "8:26")
      .replace("|                        ^", "|                          ^"),
  );
});

/** Each entry: the lines of one model or of the top, and what is said of them without the places. */
const MODEL_CASES: readonly [string, string, string][] = [
  ["unknown precision", "precisions: [fp8]", 'error: unknown precision "fp8"|known: fp32, fp16, bf16'],
  ["a precision twice, by two names", "precisions: [half, fp16]", "error: fp16 is listed twice|each precision once"],
  ["a word for a list", "precisions: fp16", 'error: expected a list, got "fp16"|write [fp16]'],
  [
    "unknown backend",
    "backend: tensorrt_rtx",
    'error: unknown backend "tensorrt_rtx"|did you mean "tensorrt-rtx"? known: tensorrt, tensorrt-rtx, onnxruntime',
  ],
  ["unknown target", "targets: [ampere]", 'error: unknown target "ampere"|known: sm_86, device, cpu'],
  [
    "a target that RTX has not",
    "targets: [sm_90]",
    "error: TensorRT-RTX cannot build for sm_90|it knows sm_75, sm_80, sm_86, sm_89, sm_120, sm_121 and device",
  ],
  [
    "cpu for TensorRT",
    "targets: [cpu]",
    "error: tensorrt-rtx builds no engines for the CPU|the backend for the target cpu is onnxruntime",
  ],
  [
    "a GPU for onnxruntime",
    "{ backend: onnxruntime, targets: [sm_86] }",
    "error: onnxruntime runs on the CPU, not on sm_86|targets: [cpu]",
  ],
  [
    "one TensorRT engine for two",
    "{ backend: tensorrt, targets: [[sm_80, sm_86]] }",
    "error: a TensorRT engine is for one kind of GPU|list them one by one, or build with backend: tensorrt-rtx",
  ],
  [
    "device in a group",
    "targets: [[sm_86, device]]",
    "error: device cannot share an engine with other targets|list it on its own",
  ],
  ["a target twice", "targets: [sm_86, sm86]", "error: the target sm_86 is listed twice|each target once"],
  [
    "missing golden",
    "golden: models/nix.npz",
    "error: there is no file models/nix.npz|golden is a .npz with in0… and out0…",
  ],
  [
    "converters without match",
    "converters: [none/*.ts]",
    "error: no file matches none/*.ts|it should match TypeScript or JavaScript files",
  ],
  [
    "missing converter",
    "converters: [converters/b.ts]",
    "error: there is no file converters/b.ts|paths are relative to .",
  ],
  [
    "onnxruntime engine",
    "{ backend: onnxruntime, emit: [engine] }",
    "error: onnxruntime makes no engine|it emits onnx, report and triton",
  ],
  [
    "an engine that Triton does not load",
    "{ backend: tensorrt-rtx, targets: [sm_86], emit: [triton] }",
    "error: Triton loads no engine of tensorrt-rtx|set backend: tensorrt, or onnxruntime",
  ],
  ["an artifact twice", "emit: [report, report]", "error: report is listed twice|each artifact once"],
  [
    "a builder option of another backend",
    "builder: { dla: { core: 0 } }",
    "error: dla is an option of the backend tensorrt|remove it, or set backend: tensorrt",
  ],
  [
    "a lean runtime that is in no engine",
    "builder: { exclude_lean_runtime: true }",
    "error: exclude_lean_runtime is of a version-compatible engine|remove it, or set version_compatible: true",
  ],
  [
    "a setting that TensorRT-RTX has no use for",
    "builder: { avg_timing_iterations: 8 }",
    "error: avg_timing_iterations is an option of the backend tensorrt|remove it, or set backend: tensorrt",
  ],
  ["a level out of range", "builder: { optimization_level: 6 }", "error: must be at most 5, is 6"],
  [
    "a size without sense",
    "builder: { workspace: much }",
    'error: "much" is not a size|Bytes, or a number with a unit: 512MiB, 4GiB.',
  ],
  [
    "no time at all",
    "timeout: 0.0s",
    'error: "0.0s" is not a duration|Seconds, or a number with a unit: 90s, 30m, 2h.',
  ],
  ["a release that is a number", "torch_tensorrt: 2.11", 'error: expected a text, got 2.11|put it in quotes: "2.11"'],
  [
    "fallback: true",
    "fallback: true",
    "error: expected false or keys, got true|What may stay with Torch (min_block_size, torch_executed_ops, torch_executed_modules); false: all in TensorRT, or fail.",
  ],
  [
    "a name with a slash",
    "name: a/b",
    'error: "a/b" cannot name a model|letters, digits, . _ + and -, starting with a letter or digit',
  ],
  [
    "a profile of no input",
    "builder: { profiles: [{ y: { min: [1], opt: [1], max: [1] } }] }",
    'error: a profile names "y", which is no input|the inputs are x',
  ],
  [
    "a profile of another rank",
    "builder: { profiles: [{ x: { min: [1], opt: [1], max: [1] } }] }",
    "error: the input x has 2 dims|min, opt and max of a profile have as many",
  ],
];

t.test("each mistake of a model has its words", async (t) => {
  for (const [name, option, expected] of MODEL_CASES) {
    const options = option.startsWith("{") ? option.slice(1, -1) : option;
    const text = `version: 1\nmodels:\n  - { source: models/lenet.ts, inputs: [{ name: x, shape: [1, 3] }], ${options} }\n`;
    const result = await load(t.testdir({}), text);
    const said = result.ok
      ? ["nothing"]
      : result.error.map(({ severity, message, hint }) => `${severity}: ${message}${hint === null ? "" : `|${hint}`}`);
    t.same(said, [expected], name);
  }
});

const INPUT_CASES: readonly [string, string][] = [
  ["{ shape: [1], max: [2] }", "error: an input has a shape or a range, not both|remove shape, or min, opt and max"],
  ["{ min: [1], max: [2] }", "error: a range needs min, opt and max; opt is missing|opt is the shape to optimize for"],
  ["{ dtype: int64 }", "error: an input needs a shape|shape: [1, 3, 224, 224], or min, opt and max"],
  ["{ min: [1, 2], opt: [1, 2], max: [1] }", "error: max has 1 dims, min has 2|a range keeps its rank"],
  ["{ min: [2], opt: [1], max: [3] }", "error: opt 1 is less than min 2 in dim 0|min <= opt <= max"],
  ["[1, { min: 1, opt: 9, max: 3 }]", "error: opt 9 is more than max 3 in dim 1|min <= opt <= max"],
  ["[1, -1]", "error: must be at least 0, is -1"],
  ["[1, 2.5]", "error: expected a whole number, got 2.5"],
  ["[1, x]", 'error: expected a dim, got "x"'],
  [
    "3",
    "error: expected an input, got 3|a shape as [1, 3, 224, 224], or keys: name, dtype, and shape or min, opt and max",
  ],
  [
    "{ shape: [1], dtype: flaot }",
    'error: unknown dtype "flaot"|did you mean "float"? known: fp32, fp16, bf16, int64, int32, int16, int8, uint8, bool, fp64',
  ],
  ["{ shape: [1], dype: fp16 }", 'error: unknown key "dype" in an input|did you mean "dtype"?'],
  ["{ shape: [{ min: 1, opt: 2 }] }", 'error: "max" is missing in a range of a dim'],
];

t.test("each mistake of an input has its words", async (t) => {
  for (const [input, expected] of INPUT_CASES) {
    const result = await load(
      t.testdir({}),
      `version: 1\nmodels:\n  - source: models/lenet.ts\n    inputs: [${input}]\n`,
    );
    const said = result.ok
      ? ["nothing"]
      : result.error.map(({ severity, message, hint }) => `${severity}: ${message}${hint === null ? "" : `|${hint}`}`);
    t.same(said, [expected], input);
  }
});

t.test("models against each other and against the folders", async (t) => {
  t.equal(
    await mistakes(
      t.testdir({}),
      `version: 1
out_dir: models
cache_dir: models
models:
  - { name: One, source: models/lenet.ts, inputs: [[1], { name: a, shape: [1] }, { name: a, shape: [1] }] }
  - { name: one, source: models/export.pt2 }
  - { source: models/bert.ts }
  - { source: models/*.npz }
  - { name: lenet }
`,
    ),
    `trtorch.config.yaml:2:10: error: out_dir is the cache's folder, and artifacts replace whole folders
    2 | out_dir: models
      |          ^^^^^^
  hint: choose a folder of its own

trtorch.config.yaml:5:26: error: models/lenet.ts lies in out_dir, whose folders are replaced
    5 |   - { name: One, source: models/lenet.ts, inputs: [[1], { name: a, shape: [1] }, { name: a, shape: [1] }] }
      |                          ^^^^^^^^^^^^^^^
  hint: keep models elsewhere

trtorch.config.yaml:5:90: error: two inputs are called "a"
    5 |   - { name: One, source: models/lenet.ts, inputs: [[1], { name: a, shape: [1] }, { name: a, shape: [1] }] }
      |                                                                                          ^
  hint: each name once

trtorch.config.yaml:6:13: error: two models are called "one": models/lenet.ts and models/export.pt2
    6 |   - { name: one, source: models/export.pt2 }
      |             ^^^
  hint: give one of them another name: both would be written to the same folder

trtorch.config.yaml:6:26: error: models/export.pt2 lies in out_dir, whose folders are replaced
    6 |   - { name: one, source: models/export.pt2 }
      |                          ^^^^^^^^^^^^^^^^^
  hint: keep models elsewhere

trtorch.config.yaml:7:5: error: the inputs of models/bert.ts are missing: a TorchScript file does not hold their shapes
    7 |   - { source: models/bert.ts }
      |     ^^^^^^^^^^^^^^^^^^^^^^^^^^
  hint: add inputs: [[1, 3, 224, 224]], or a range with min, opt and max

trtorch.config.yaml:7:15: error: models/bert.ts lies in out_dir, whose folders are replaced
    7 |   - { source: models/bert.ts }
      |               ^^^^^^^^^^^^^^
  hint: keep models elsewhere

trtorch.config.yaml:8:15: error: models/lenet.npz is no model file by its name
    8 |   - { source: models/*.npz }
      |               ^^^^^^^^^^^^
  hint: TorchScript and torch.export: .ts, .pt, .pth, .jit, .torchscript, .pt2

trtorch.config.yaml:9:5: error: "source" is missing in a model
    9 |   - { name: lenet }
      |     ^^^^^^^^^^^^^^^`,
  );
});

t.test("the output folder of the command line is checked as the config's own", async (t) => {
  const config = "version: 1\nmodels: [{ source: models/export.pt2 }]\n";
  const said = async (out: string) => {
    const root = t.testdir({});
    files(root);
    const file = join(root, "trtorch.config.yaml");
    writeFileSync(file, config);
    const result = await loadConfig(file, root, out);
    return result.ok ? relative(root, result.value.outDir) : formatDiagnostics(result.error);
  };
  t.equal(await said("build"), "build");
  t.equal(
    await said("models"),
    `trtorch.config.yaml:2:20: error: models/export.pt2 lies in --out models, whose folders are replaced
    2 | models: [{ source: models/export.pt2 }]
      |                    ^^^^^^^^^^^^^^^^^
  hint: keep models elsewhere`,
  );
  t.equal(
    await said(".trtorch-build/out"),
    `command line:1:21: error: --out .trtorch-build/out is the cache's folder, and artifacts replace whole folders
    1 | trtorch-build --out .trtorch-build/out
      |                     ^^^^^^^^^^^^^^^^^^
  hint: choose a folder of its own`,
  );
  t.match(await said("."), /--out \. is the folder of the config itself, and artifacts replace whole folders/);
  t.match(await said(".."), /--out \.\. is a folder around the folder of the config, and artifacts/);
});

t.test("a cache_dir that is more than a cache", async (t) => {
  const said = (cache: string) =>
    mistakes(t.testdir({}), `version: 1\ncache_dir: ${cache}\nmodels: [{ source: models/export.pt2 }]\n`);
  t.equal(await said("../cache"), "no mistakes");
  t.match(await said("."), /:2:12: error: cache_dir is the folder of the config itself\n/);
  t.match(await said(".."), /:2:12: error: cache_dir is a folder around the folder of the config\n/);
  t.match(
    await said("models"),
    /:3:20: error: models\/export\.pt2 lies in cache_dir, which may be emptied at any time\n/,
  );
  t.match(
    await said("engines/.trtorch-build"),
    /error: out_dir is a folder whose own \.trtorch-build is the cache's folder\n/,
  );
});

t.test("an outline needs no models, and names what they would be made of", async (t) => {
  const root = t.testdir({});
  files(root);
  const file = join(root, "trtorch.config.yaml");
  const outline = async (text: string) => {
    writeFileSync(file, text);
    const result = await outlineConfig(file, root);
    return result.ok ? result.value : formatDiagnostics(result.error);
  };
  t.same(
    await outline(`version: 1
out_dir: out
converters: [converters/*.ts]
models: [{ source: none.ts }, { source: models/*.pt2, golden: "{dir}/{stem}.npz" }]
`),
    {
      file,
      root,
      outDir: join(root, "out"),
      cacheDir: join(root, ".trtorch-build"),
      patterns: ["converters/*.ts", "none.ts", "models/*.pt2", "models/export.npz"],
    },
  );
  t.match(await outline("version: 1\nout_dri: out\nmodels: [{ source: none.ts }]\n"), /unknown key "out_dri"/);
  t.match(await outline("version: 1\nout_dir: models\nmodels: [{ source: models/*.pt2 }]\n"), /lies in out_dir/);
});

t.test("aliases and merges: any number of good ones, and a place for each bad one", async (t) => {
  const models = Array.from({ length: 150 }, (_, i) => `  - { name: m${i}, source: models/lenet.ts, inputs: *in }\n`);
  const many = `version: 1\nx-in: &in [[1, 3]]\nmodels:\n${models.join("")}`;
  t.equal(await mistakes(t.testdir({}), many), "no mistakes");
  t.equal(
    await mistakes(
      t.testdir({}),
      `
version: 1
x-list: &list [*list]
models:
  - { source: models/lenet.ts, inputs: *nope }
  - { <<: 5, source: models/export.pt2 }
  - <<: [*none, 6]
`,
    ),
    `trtorch.config.yaml:3:16: error: the alias *list stands inside of what it names
    3 | x-list: &list [*list]
      |                ^^^^^
  hint: name something outside of it

trtorch.config.yaml:5:40: error: there is no anchor &nope before this alias
    5 |   - { source: models/lenet.ts, inputs: *nope }
      |                                        ^^^^^
  hint: an anchor stands above its aliases

trtorch.config.yaml:6:11: error: << merges keys with values, and these are none
    6 |   - { <<: 5, source: models/export.pt2 }
      |           ^
  hint: <<: *anchor

trtorch.config.yaml:7:10: error: there is no anchor &none before this alias
    7 |   - <<: [*none, 6]
      |          ^^^^^
  hint: an anchor stands above its aliases

trtorch.config.yaml:7:17: error: << merges keys with values, and these are none
    7 |   - <<: [*none, 6]
      |                 ^
  hint: <<: *anchor`,
  );
});

t.test("YAML's own mistakes, duplicate keys and an empty file", async (t) => {
  t.match(await mistakes(t.testdir({}), "version: 1\nmodels: [\n"), /^trtorch\.config\.yaml:3:1: error: Flow sequence/);
  t.match(
    await mistakes(t.testdir({}), "version: 1\nversion: 1\n"),
    /trtorch\.config\.yaml:2:1: error: Map keys must be unique/,
  );
  t.match(
    await mistakes(t.testdir({}), ""),
    /trtorch\.config\.yaml:1:1: error: expected keys with values, got nothing/,
  );
  t.match(await mistakes(t.testdir({}), "\n# none\n"), /^trtorch\.config\.yaml:1:1: error: expected keys/);
  t.match(await mistakes(t.testdir({}), "- 1"), /expected keys with values, got a list/);
});

t.test("anchors and merge keys point to where the text stands", async (t) => {
  const text = `version: 1
models:
  - &base { name: a, source: models/lenet.ts, inputs: [[1]], precisions: [fp17] }
  - { <<: *base, name: b }
`;
  const result = await load(t.testdir({}), text);
  t.same(result.ok ? [] : result.error.map(({ span }) => text.slice(span.offset, span.offset + span.length)), ["fp17"]);
});

t.test("keys that begin with x- are the user's: places for anchors", async (t) => {
  const own = `version: 1
x-inputs: &image [[1, 3, 224, 224]]
models: [{ source: models/lenet.ts, inputs: *image }]
`;
  t.ok((await load(t.testdir({}), own)).ok);
  t.match(await mistakes(t.testdir({}), own.replace("inputs: *", "x-inputs: *")), /unknown key "x-inputs" in a model/);
});

t.test("without inputs, a file that holds no program is told for what it is", async (t) => {
  const root = t.testdir({});
  t.match(
    await mistakes(root, "version: 1\nmodels: [{ source: models/lenet.ts }]\n"),
    /^trtorch\.config\.yaml:2:20: error: models\/lenet\.ts: the file is empty\n/,
  );
  copyFileSync(LENET.replace("trace.ts", "export.pt2"), join(root, "models/export.pt"));
  t.equal(await mistakes(root, "version: 1\nmodels: [{ source: models/export.pt }]\n"), "no mistakes");
  const named = { inputs: [], precisions: [], targets: [], emit: [], converters: [] };
  const result = await loadCommandLine({ ...named, files: ["models/bert.ts"] }, root);
  t.match(
    result.ok ? "" : formatDiagnostics(result.error),
    /missing: .+\n.+\n.+\n {2}hint: add --input 1x3x224x224, or/,
  );
});

t.test("files of one name on the command line are told apart by their folders", async (t) => {
  const root = t.testdir({ a: { "export.pt2": "" }, b: { "export.pt2": "", "lone.pt2": "" } });
  const files = ["a/export.pt2", "b/export.pt2", "b/lone.pt2"];
  const none = { inputs: [], precisions: [], targets: [], emit: [], converters: [] };
  const result = await loadCommandLine({ ...none, files }, root);
  if (!result.ok) throw new Error(formatDiagnostics(result.error));
  t.strictSame(
    result.value.models.map(({ name }) => name),
    ["a-export", "b-export", "lone"],
  );
  const twice = await loadCommandLine({ ...none, files: ["a/export.pt2", "a/export.pt2"] }, root);
  t.match(twice.ok ? "" : formatDiagnostics(twice.error), /two models are called "a-export"/);
});

t.test("mutated_buffers: of defaults and of a model", async (t) => {
  const result = await load(
    t.testdir({}),
    `version: 1
defaults: { mutated_buffers: outputs }
models:
  - { name: a, source: models/export.pt2 }
  - { name: b, source: models/export.pt2, mutated_buffers: inputs_and_outputs }
`,
  );
  if (!result.ok) throw new Error(formatDiagnostics(result.error));
  t.strictSame(
    result.value.models.map(({ mutatedBuffers }) => mutatedBuffers),
    ["outputs", "inputs_and_outputs"],
  );
});

t.test("a good config, with defaults, globs and overrides", async (t) => {
  const root = t.testdir({});
  const result = await load(
    root,
    `version: 1
backend: tensorrt-rtx
targets: [[sm_86, sm_89, sm_120], sm_80]
precisions: [fp32, half]
converters: [converters/*.ts]
store: [https://example.com/cache/, { location: ../share, write: false }]
defaults:
  tolerance: { rtol: 1.0e-3 }
  builder: { workspace: 2GiB }
  timeout: 5m
models:
  - source: models/*.pt2
    name: "{parent}-{stem}"
  - name: lenet
    source: models/lenet.ts
    golden: "{dir}/{stem}.npz"
    precisions: [bf16]
    fallback: false
    inputs:
      - { name: x, dtype: half, min: [1, 1, 32, 32], opt: [8, 1, 32, 32], max: [32, 1, 32, 32] }
      - [{ min: 1, opt: 2, max: 3, symbol: n }, 16]
    builder: { workspace: 512M, profiles: [{ x: { min: [1, 1, 32, 32], opt: [1, 1, 32, 32], max: [2, 1, 32, 32] } }] }
`,
  );
  if (!result.ok) throw new Error(formatDiagnostics(result.error));
  const [exported, lenet] = result.value.models;
  t.match(exported, {
    name: "models-export",
    source: join(root, "models/export.pt2"),
    inputs: null,
    targets: [
      { kind: "sm", name: "sm_86+sm_89+sm_120", computeCapabilities: [86, 89, 120] },
      { kind: "sm", name: "sm_80", computeCapabilities: [80] },
    ],
    precisions: ["fp32", "fp16"],
    converters: [join(root, "converters/a.ts")],
    tolerance: { rtol: 1e-3 },
    timeout: 300_000,
    builder: { workspace: 2 * 2 ** 30 },
    emit: ["engine", "report"],
  });
  t.match(lenet, {
    precisions: ["bf16"],
    fallback: false,
    golden: join(root, "models/lenet.npz"),
    inputs: [
      { name: "x", dtype: "float16", dims: [{ min: 1, opt: 8, max: 32 }, 1, 32, 32] },
      { name: null, dtype: null, dims: [{ min: 1, opt: 2, max: 3, symbol: "n" }, 16] },
    ],
    builder: {
      workspace: 512 * 2 ** 20,
      profiles: [{ inputs: [{ max: [2, 1, 32, 32] }, { min: [1, 16], opt: [2, 16], max: [3, 16] }] }],
    },
  });
  t.same(result.value.remotes, [
    { location: "https://example.com/cache/", read: true, write: true },
    { location: join(root, "../share"), read: true, write: false },
  ]);
});

t.test("models on the command line", async (t) => {
  const root = t.testdir({});
  files(root);
  const none = { precisions: [], targets: [], emit: [], converters: [] };
  const good = await loadCommandLine(
    {
      ...none,
      files: ["models/lenet.ts"],
      inputs: ["x=1x3x224x224:8x3x224x224:32x3x224x224@fp16", "2x16@long", "scalar"],
      precisions: ["half"],
      targets: ["sm_86+sm_89"],
    },
    root,
  );
  if (!good.ok) throw new Error(formatDiagnostics(good.error));
  t.match(good.value.models[0], {
    name: "lenet",
    precisions: ["fp16"],
    targets: [{ computeCapabilities: [86, 89] }],
    inputs: [
      { name: "x", dtype: "float16", dims: [{ min: 1, opt: 8, max: 32 }, 3, 224, 224] },
      { name: null, dtype: "int64", dims: [2, 16] },
      { name: null, dtype: null, dims: [] },
    ],
  });

  const bad = await loadCommandLine(
    { ...none, files: ["models/lenet.ts"], inputs: ["x=1x3:2x3", "1,3", "1x3@fp61", "=1"] },
    root,
  );
  t.equal(
    bad.ok ? "" : formatDiagnostics(bad.error),
    `command line:1:41: error: 2 shapes for one input
    1 | trtorch-build models/lenet.ts --input x=1x3:2x3 --input 1,3 --input 1x3@fp61 --input =1
      |                                         ^^^^^^^
  hint: one shape, or three: min:opt:max

command line:1:57: error: "1,3" is not a shape
    1 | trtorch-build models/lenet.ts --input x=1x3:2x3 --input 1,3 --input 1x3@fp61 --input =1
      |                                                         ^^^
  hint: dims with x between them, as 1x3x224x224; a range is min:opt:max

command line:1:73: error: unknown dtype "fp61"
    1 | trtorch-build models/lenet.ts --input x=1x3:2x3 --input 1,3 --input 1x3@fp61 --input =1
      |                                                                         ^^^^
  hint: did you mean "fp16"? known: fp32, fp16, bf16, int64, int32, int16, int8, uint8, bool, fp64

command line:1:86: error: the name before = is empty
    1 | trtorch-build models/lenet.ts --input x=1x3:2x3 --input 1,3 --input 1x3@fp61 --input =1
      |                                                                                      ^
  hint: x=1x3x224x224, or only 1x3x224x224`,
  );

  const meaning = await loadCommandLine(
    { ...none, files: ["models/lenet.ts"], inputs: ["4:5:3"], precisions: ["fp16", "int9"] },
    root,
  );
  t.equal(
    meaning.ok ? "" : formatDiagnostics(meaning.error),
    `command line:1:39: error: min 4 is more than max 3 in dim 0
    1 | trtorch-build models/lenet.ts --input 4:5:3 --precision fp16 --precision int9
      |                                       ^^^^^
  hint: min <= opt <= max

command line:1:74: error: unknown precision "int9"
    1 | trtorch-build models/lenet.ts --input 4:5:3 --precision fp16 --precision int9
      |                                                                          ^^^^
  hint: known: fp32, fp16, bf16`,
  );
});

t.test("nearest", async (t) => {
  t.equal(nearest("precsions", ["precisions", "models"]), "precisions");
  t.equal(nearest("modles", ["models", "method"]), "models");
  t.equal(nearest("xyz", ["models", "method"]), null);
});
