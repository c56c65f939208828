import { copyFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { Tensor } from "../../src/ir/tensor.js";
import type { SummaryFile } from "../../src/runner/summary.js";
import { workerStarter } from "../../src/runner/worker-process.js";
import { writeNpz } from "../../src/util/npz.js";
import { readJson, trtorch, write } from "./project.js";

const OVERFLOW = fileURLToPath(new URL("../fixtures/cli/overflow.ts", import.meta.url));
const DOUBLE = fileURLToPath(new URL("../fixtures/cli/double.ts", import.meta.url));

/** What overflow.ts gives. */
function energy(x: number): number {
  return (300 * (x / (1 + Math.exp(-x)) + 1)) ** 2 * 1e-4;
}

async function golden(file: string, change = 0): Promise<void> {
  const numbers = [-1, 0, 0.5, 1, 2, 3];
  await writeNpz(file, [
    ["in0", Tensor.of("float32", [6], numbers)],
    [
      "out0",
      Tensor.of(
        "float32",
        [6],
        numbers.map((x) => energy(x) + change),
      ),
    ],
  ]);
}

t.test("the operator that overflows is found, in its module, and printed for the config", async (t) => {
  const root = t.testdir({});
  copyFileSync(OVERFLOW, join(root, "overflow.ts"));
  const found = await trtorch(root, ["precision", "overflow.ts", "--input", "4x8"]);
  t.equal(found.code, 0, found.stderr);
  const lines = found.stdout.split("\n");
  t.equal(lines[0], "overflow, in onnxruntime on the CPU, beside its own fp32 numbers for random inputs (seed 0)");
  t.match(lines[1], /^ {2}precision {2}in fp32 +max error +allowed +mean error +cosine$/);
  t.match(lines[2], /^ {2}fp32 +everything +0 .* within$/);
  t.match(lines[3], /^ {2}fp16 +nothing +not finite +\S+ +not finite +not finite +beyond$/);
  t.match(lines[4], /^ {2}fp16 +energy\/aten::mul +0\.\d+ +.* within$/);
  t.match(lines[5], /^ {2}bf16 +nothing .* within$/);
  t.match(lines[6], /^\d+ networks measured$/);
  t.same(lines.slice(7), ['fp32_ops: ["energy/aten::mul"]', "", ""]);
  const whole = await trtorch(root, ["precision", "overflow.ts", "--input", "4x8", "--whole-operators", "--json"]);
  t.match(JSON.parse(whole.stdout), {
    models: [
      {
        model: "overflow",
        precisions: [
          { precision: "fp16", search: { without: { outputs: [{ maxAbsError: null }] }, found: { passed: true } } },
          { precision: "bf16", search: { everything: null, found: { fp32Ops: [] } } },
        ],
        fp32Ops: ["aten::mul"],
      },
    ],
  });
});

t.test(
  "a config: a job fails its golden check with numbers in the report, and passes with the line pasted",
  async (t) => {
    const root = t.testdir({});
    copyFileSync(OVERFLOW, join(root, "overflow.ts"));
    copyFileSync(DOUBLE, join(root, "double.ts"));
    await golden(join(root, "io.npz"));
    const config = (fp32Ops: string) =>
      write(root, {
        "trtorch.config.yaml": `version: 1
backend: onnxruntime
precisions: [fp32, fp16]
on_failure: continue
models:
  - source: overflow.ts
    inputs: [[6]]
    golden: io.npz
    ${fp32Ops}
  - { source: double.ts, inputs: [[1, 4]] }
`,
      });
    const build = () => trtorch(root, ["build"], { startWorker: async () => workerStarter() });
    config("");
    const before = await build();
    t.equal(before.code, 1);
    t.match(
      before.stdout,
      "overflow/fp16-cpu: failed: output_0 has other NaNs or infinities than",
      "the failure in words",
    );
    t.match(before.stdout, "`trtorch-build precision` finds fp32_ops.");
    const summary = readJson<SummaryFile>(root, "engines/summary.json");
    t.match(
      summary.jobs.filter(({ id }) => id.startsWith("overflow/")),
      [
        { precision: "fp32", target: "cpu", status: "built", comparison: [{ passed: true }] },
        { precision: "fp16", status: "failed", comparison: [{ output: "output_0", maxAbsError: null, passed: false }] },
      ],
    );
    t.ok((summary.jobs[0]?.engineSize ?? 0) > 0);
    const page = readFileSync(join(root, "engines/report.html"), "utf8");
    const numbers = page.slice(page.indexOf("<h2>Numbers against golden</h2>"));
    t.match(
      numbers,
      /fp16-<wbr>cpu<wbr><\/th><td>output_0<\/td><td>CPU reference<\/td>\s*<td><span class="state failed">beyond<\/span><\/td>/,
    );
    t.match(page, "<h2>Precisions</h2>");

    const search = await trtorch(root, ["precision", "--filter", "over*"]);
    t.equal(search.code, 0, search.stderr);
    t.match(search.stdout, /^overflow, in onnxruntime on the CPU, beside io\.npz\n/);
    t.notMatch(search.stdout, "bf16", "the precisions are the config's");
    const [line = ""] = /^fp32_ops: .*$/m.exec(search.stdout) ?? [];
    config(line);
    t.equal((await build()).code, 0);
    const report = readJson<{ comparison: unknown }>(root, "engines/overflow/fp16-cpu/report.json");
    t.match(report.comparison, [{ output: "output_0", passed: true, histogram: [{ below: 0 }, { below: 1e-8 }] }]);
    t.match(
      readFileSync(join(root, "engines/overflow/fp16-cpu/report.md"), "utf8"),
      /\| beside golden .*\n.*\n\| `output_0` \| 0\.\d+ \| /,
    );
    const configured = await trtorch(root, ["precision"]);
    t.equal(configured.code, 0);
    t.match(configured.stdout, /^ {2}fp16 +fp32_ops of the config: energy\/aten::mul .* within$/m);
    t.match(configured.stdout, /^double, .*\n(.*\n){4}no fp32_ops are needed$/m);
  },
);

t.test("no set meets the tolerance", async (t) => {
  const root = t.testdir({});
  copyFileSync(OVERFLOW, join(root, "overflow.ts"));
  await golden(join(root, "other.npz"), 20);
  const model = ["precision", "overflow.ts", "--input", "6", "--precision", "fp16", "--golden", "other.npz"];
  const none = await trtorch(root, model);
  t.equal(none.code, 1);
  t.match(none.stdout, /^ {2}fp16 +every operator .* beyond$/m);
  t.match(
    none.stdout,
    /\nfp16: no fp32_ops meet the tolerance: it is not met with every operator in fp32\n {2}hint: fp32 itself is beyond/,
  );
  t.equal((await trtorch(root, [...model, "--atol", "100"])).code, 0);
});

t.test("mistakes", async (t) => {
  const root = t.testdir({ "broken.ts": "no model" });
  copyFileSync(OVERFLOW, join(root, "overflow.ts"));
  const cases: [args: string[], code: number, text: RegExp][] = [
    [["overflow.ts"], 2, /the inputs of overflow\.ts are missing/],
    [["overflow.ts", "--input", "6", "--rtol", "x"], 2, /It is a number, at least 0\./],
    [
      ["overflow.ts", "--input", "6", "--filter", "other"],
      2,
      /^error: no model matches other\n {2}hint: the models are overflow\n/,
    ],
    [["broken.ts", "--input", "6"], 1, /^broken: this is no ZIP archive/],
  ];
  for (const [args, code, text] of cases) {
    const ran = await trtorch(root, ["precision", ...args]);
    t.equal(ran.code, code, args.join(" "));
    t.match(ran.stdout + ran.stderr, text);
  }
});
