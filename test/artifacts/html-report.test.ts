import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import t from "tap";
import { outlineOf } from "../../src/artifacts/graph-outline.js";
import { drawGraph } from "../../src/artifacts/graph-svg.js";
import { renderHtmlReport } from "../../src/artifacts/html-report.js";
import type { SupportReport } from "../../src/artifacts/report.js";
import type { ReportedJob, RunReport } from "../../src/artifacts/run-report.js";
import { converter, Registry } from "../../src/conversion/registry.js";
import { parseIR } from "../../src/ir/parser.js";
import { Tensor } from "../../src/ir/tensor.js";
import type { OutputComparison } from "../../src/plan/job.js";
import type { SummaryJob } from "../../src/runner/summary.js";
import { compare } from "../../src/worker/comparison.js";
import { project, trtorch } from "../cli/project.js";

const REGISTRY = new Registry().register(
  converter("aten::relu(Tensor self) -> Tensor", (ctx, { self }) => ctx.network.addActivation(self.tensor, "kRELU")),
);

/** A residual chain; every third step is an operator that nobody converts. */
function chain(length: number, module: (step: number) => string | undefined = () => undefined) {
  const steps = Array.from({ length }, (_, step) =>
    step % 3 === 2
      ? `%v${step + 1} : Tensor = aten::erfinv(%v${step})`
      : `%v${step + 1} : Tensor = aten::relu(%v${step})`,
  );
  const graph = parseIR(`graph(%v0 : Tensor):\n  ${steps.join("\n  ")}\n  return (%v${length})`);
  for (const [step, node] of [...graph.block.nodes()].entries()) {
    const path = module(step);
    if (path !== undefined) node.sourceRange = { file: "model.py", line: step + 1, module: path };
  }
  return graph;
}

t.test("an outline says what runs where", async (t) => {
  const graph = chain(4);
  t.same(outlineOf(graph, REGISTRY), {
    nodes: [
      { kind: "input", label: "v0", operators: [], runBy: null },
      { kind: "operators", label: "relu", operators: [["aten::relu", 1]], runBy: "converter" },
      { kind: "operators", label: "relu", operators: [["aten::relu", 1]], runBy: "converter" },
      { kind: "operators", label: "erfinv", operators: [["aten::erfinv", 1]], runBy: "nobody" },
      { kind: "operators", label: "relu", operators: [["aten::relu", 1]], runBy: "converter" },
      { kind: "output", label: "output", operators: [], runBy: null },
    ],
    edges: [
      [0, 1],
      [1, 2],
      [2, 3],
      [3, 4],
      [4, 5],
    ],
  });
  const torch = new Set([...graph.block.nodes()].filter((node) => node.kind === "aten::erfinv"));
  t.equal(outlineOf(graph, REGISTRY, torch).nodes[3]?.runBy, "torch");
});

t.test("a large graph is collapsed by module, and stays without cycles", async (t) => {
  const outline = outlineOf(
    chain(300, (step) => `layers.${Math.floor(step / 30)}.part${step % 2}`),
    REGISTRY,
  );
  t.ok(outline.nodes.length <= 62, `${outline.nodes.length} boxes`);
  t.ok(outline.edges.every(([from, to]) => from < to));
  const held = outline.nodes.flatMap((node) => node.operators.map(([, count]) => count));
  t.equal(
    held.reduce((sum, count) => sum + count, 0),
    300,
    "every operator is in one box",
  );
  const flat = outlineOf(chain(300), REGISTRY);
  t.ok(flat.edges.every(([from, to]) => from < to));
});

t.test("boxes of a row do not overlap, edges lead down", async (t) => {
  const labels = ["in", "a", "b", "a rather long name of a module", "c", "join", "out"];
  const nodes = labels.map((label) => ({
    kind: "operators" as const,
    label,
    operators: [],
    runBy: "converter" as const,
  }));
  const svg = drawGraph(
    {
      nodes,
      edges: [
        [0, 1],
        [0, 2],
        [0, 3],
        [0, 4],
        [1, 5],
        [2, 5],
        [3, 5],
        [4, 5],
        [0, 5],
        [5, 6],
      ],
    },
    "fan",
  ).toString();
  const rects = [...svg.matchAll(/<rect x="(-?\d+)" y="(\d+)" width="(\d+)" height="(\d+)"/g)].map((match) =>
    match.slice(1).map(Number),
  ) as [number, number, number, number][];
  t.equal(rects.length, nodes.length);
  for (const [x, y, width] of rects) {
    for (const [otherX, otherY] of rects) {
      if (otherY === y && otherX > x) t.ok(otherX >= x + width, "a gap between neighbours");
    }
  }
  const [, width, height] = /width="(\d+(?:\.\d+)?)" height="(\d+)"/.exec(svg) as RegExpExecArray;
  t.ok(rects.every(([x, y, w, h]) => x >= 0 && x + w <= Number(width) && y + h <= Number(height)));
});

function compared(numbers: number[]): OutputComparison {
  const of = (values: number[]) => Tensor.of("float64", [3], values);
  return compare("output_0", of(numbers), of([3, 1, 3]), { rtol: 1e-2, atol: 0 });
}

/** Eight GPUs, three dozen jobs, long names, failures, a wide graph. */
function bigRun(): RunReport {
  const support: SupportReport = {
    model: "m",
    method: "forward",
    supported: false,
    problem: null,
    operators: [
      {
        operator: "aten::a_very_long_operator_name_that_somebody_wrote.with_an_overload",
        count: 3,
        handledBy: null,
        origin: null,
        layers: null,
        sources: ["/a/long/path/to/somebodys/python/sources/modeling_of_something.py:1234"],
      },
    ],
    removed: [{ pass: "remove-exceptions", kind: "exception", count: 1, details: ["<script>alert(1)</script>"] }],
    parameters: { tensors: 3, elements: 1234567 },
    inputs: [{ name: "x", type: "kFLOAT", dims: ["1..32", "3"] }],
    outputs: [],
    layers: { kCONVOLUTION: 3 },
    graph: outlineOf(
      chain(120, (step) => `encoder.layers.${step >> 3}.attention.self`),
      REGISTRY,
    ),
  };
  const jobs = Array.from({ length: 36 }, (_, index): ReportedJob => {
    const model = `vision-model-with-a-long-name-${index % 6}`;
    const id = `${model}/fp16-sm_80+sm_86+sm_89+sm_120-${index}`;
    const failed = index % 7 === 3;
    const start = Math.floor(index / 8) * 60_000;
    return {
      id,
      model,
      summary: {
        id,
        key: "k",
        precision: index % 2 === 0 ? "fp16" : "fp32",
        target: "device",
        status: failed ? "failed" : "built",
        span: { slot: `gpu ${index % 8} NVIDIA H200 NVL`, start, end: start + 20_000 + 1000 * index },
        ...(failed && { error: { code: "library", message: `no tactic for ${"layer ".repeat(30)}` } }),
      },
      manifest: failed
        ? null
        : {
            id,
            model,
            precision: "fp16",
            backend: "tensorrt",
            target: "device",
            networkKey: "n",
            artifacts: [{ kind: "engine", path: "model.engine", size: 1e6 * (index + 1), sha256: "s" }],
          },
      result: failed
        ? null
        : {
            artifacts: [],
            networkKey: "n",
            engineReused: false,
            summary: { operators: 1, layers: 2, parameters: 3, unsupported: [] },
            comparison: [compared([3, 1, 2.999]), { ...compared([3, 1, 3]), device: "NVIDIA H200 (sm_90)" }],
            latencyMs: 0.4272,
            durations: { load: 500, lower: 1000, convert: 500, build: 15_000, write: 100 },
            library: { name: "TensorRT", version: "10.6.0" },
          },
      support: failed ? null : support,
    };
  });
  const summary = { built: 31, fresh: 0, restored: 0, failed: 5, cancelled: 0, skipped: 0, durationMs: 300_000 };
  return {
    run: { version: 1, shard: null, summary, plan: jobs.map(({ id }) => id), jobs: [] },
    jobs,
  };
}

t.test("a page on its own: no script, nothing from elsewhere, what came in is text", async (t) => {
  const page = await renderHtmlReport(bigRun());
  t.notMatch(page, /<script|<link|<iframe|<object|\son\w+=|javascript:|@import|url\(|\bsrc=|\bhref=/i);
  t.match(page, "&#60;script&#62;alert(1)&#60;/script&#62;");
  t.match(page, "<b>31</b> built");
  t.match(page, "gpu 7 NVIDIA H200 NVL");
  t.equal([...page.matchAll(/<details class="model"/g)].length, 6);
  t.match(page, "TensorRT 10.6.0");
});

t.test("precisions side by side; a job that failed its golden check shows its numbers", async (t) => {
  const run = bigRun();
  const [first, second] = run.jobs as [ReportedJob, ReportedJob];
  const reported = (id: string, job: ReportedJob, changes: Partial<SummaryJob>): ReportedJob => ({
    ...job,
    id,
    model: "m",
    summary: { ...(job.summary as SummaryJob), ...changes },
  });
  const half = reported("m/fp16-device", second, {
    precision: "fp16",
    status: "failed",
    error: { code: "mismatch", message: "output_0 differs" },
    comparison: [compared([3, 1, Number.NaN])],
  });
  const quantized: SupportReport = { ...(first.support as SupportReport), layers: { kQUANTIZE: 1 } };
  const page = await renderHtmlReport({
    ...run,
    jobs: [
      reported("m/fp32-device", first, { precision: "fp32" }),
      { ...half, manifest: null, result: null, support: null },
      { ...reported("q/fp16-device", first, { precision: "fp16" }), model: "q", support: quantized },
    ],
  });
  const [precisions = "", golden = ""] = ["Precisions", "Numbers against golden"].map((title) =>
    sectionOf(page, title),
  );
  t.same(rowsOf(precisions).slice(1), [
    ["m", "fp32", "device", "1.0 MB", "within", "1.00e-3", "0.0400", "3.33e-4", "1.000000", "0.427 ms"],
    ["fp16", "device", "", "beyond", "not finite", "0.0400", "not finite", "not finite", ""],
    ["q", "fp16, int8", "device", "1.0 MB", "within", "1.00e-3", "0.0400", "3.33e-4", "1.000000", "0.427 ms"],
  ]);
  const [, onReference, onDevice, failed] = rowsOf(golden);
  t.same([onReference?.[2], onDevice?.[2]], ["CPU reference", "NVIDIA H200 (sm_90)"]);
  t.same(failed?.slice(0, 9), [
    "m/fp16-device",
    "output_0",
    "CPU reference",
    "beyond",
    "not finite",
    "0.0400",
    "not finite",
    "not finite",
    "1, not 0",
  ]);
  t.match(golden, /<title>equal: 2<\/title><rect class="within"/);
  t.match(golden, /<title>10 and more: 1<\/title><rect class="beyond"/);
});

function sectionOf(page: string, title: string): string {
  return page.split("<section>").find((section) => section.includes(`<h2>${title}</h2>`)) ?? "";
}

/** The texts of a table's cells. */
function rowsOf(section: string): string[][] {
  return section
    .split("<tr>")
    .slice(1)
    .map((row) =>
      [...row.matchAll(/<t[hd][^>]*>(.*?)<\/t[hd]>/gs)].map(([, cell]) =>
        (cell as string).replace(/<[^>]*>/g, "").trim(),
      ),
    );
}

t.test(
  "report.html comes with a run, stays as it is with one that had nothing to do, and can be made again",
  async (t) => {
    const root = t.testdir({});
    project(root, ["a", "b"]);
    t.equal((await trtorch(root, [])).code, 0);
    const page = join(root, "engines/report.html");
    const made = readFileSync(page, "utf8");
    t.match(made, "<b>4</b> built");
    writeFileSync(page, "old");
    await trtorch(root, []);
    t.equal(readFileSync(page, "utf8"), "old");
    const again = await trtorch(root, ["report"]);
    t.same([again.code, again.stdout], [0, "wrote engines/report.html\n"]);
    t.equal(readFileSync(page, "utf8"), made, "of the run that had something to do");
    const none = await trtorch(root, ["report", "models"]);
    t.same([none.code, none.stderr], [2, `error: there is no summary ${root}/models/summary.json\n`]);
  },
);

const CHROMIUM = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find((path) =>
  existsSync(path),
);
const skip = CHROMIUM === undefined ? "there is no Chromium" : false;

/** Looks at a page in frames of these widths, in which no script may run. */
function look(
  page: string,
  widths: readonly number[],
): { width: number; content: number; text: string; svgs: number }[] {
  const folder = mkdtempSync(join(tmpdir(), "trtorch-report-"));
  const source = page.replaceAll("&", "&amp;").replaceAll('"', "&quot;").replaceAll("<details", "<details open");
  const frame = (width: number) =>
    `<iframe sandbox="allow-same-origin" style="width:${width}px;height:800px;border:0" srcdoc="${source}"></iframe>`;
  try {
    writeFileSync(
      join(folder, "page.html"),
      `<!doctype html><body>${widths.map(frame).join("")}<script>
onload = () => {
  const found = [...document.querySelectorAll("iframe")].map(({ contentDocument: { documentElement: root } }) => ({
    width: root.clientWidth, content: root.scrollWidth, text: root.innerText, svgs: root.querySelectorAll("svg").length,
  }));
  document.body.textContent = encodeURIComponent(JSON.stringify(found));
};
</script></body>`,
    );
    const common = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"];
    const quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync"];
    const profile = `--user-data-dir=${join(folder, "profile")}`;
    const url = pathToFileURL(join(folder, "page.html")).href;
    const dom = execFileSync(CHROMIUM as string, [...common, ...quiet, profile, "--dump-dom", url], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
      timeout: 300_000,
      maxBuffer: 64 << 20,
    });
    return JSON.parse(decodeURIComponent(/<body>([^<]*)<\/body>/.exec(dom)?.[1] ?? ""));
  } finally {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

t.test("in a browser without JavaScript, at two widths: all is there, nothing sticks out", { skip }, async (t) => {
  const widths = [360, 1280];
  const found = look(await renderHtmlReport(bigRun()), widths);
  t.equal(found.length, 2);
  for (const [index, { width, content, text, svgs }] of found.entries()) {
    t.ok(width > (widths[index] as number) - 20, `a page ${width} wide`);
    t.ok(content <= width, `content is ${content} wide`);
    t.equal(svgs, 8 + 6 + 2 * 31, "a row a GPU, a graph a model, a histogram an output");
    for (const part of [
      "Timeline",
      "Numbers against golden",
      "vision-model-with-a-long-name-5",
      "a_very_long_operator",
    ]) {
      t.match(text, part);
    }
  }
});
