import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { engineSize, HTML_REPORT_FILE } from "../runner/summary.js";
import { writeFileAtomic } from "../util/atomic-write.js";
import { count, formatBytes, formatDuration } from "../util/format.js";
import { packageRoot } from "../util/native-addon.js";
import { drawGraph } from "./graph-svg.js";
import { breakable, Html, html } from "./html.js";
import { renderGolden, renderPrecisions } from "./numbers.js";
import type { SegmentReport, SupportReport } from "./report.js";
import { type ReportedJob, type RunReport, readRunReport } from "./run-report.js";
import { drawTimeline } from "./timeline-svg.js";

const OPEN = new Html(" open");
const MISSING = new Html(' class="missing"');

/** Of more models than that, a page shows the names first. */
const MODELS_OPEN = 8;

/** Writes `report.html` into an output folder from what its last run left there, and returns the path. */
export async function writeHtmlReport(outDir: string): Promise<string> {
  const path = join(outDir, HTML_REPORT_FILE);
  await writeFileAtomic(path, await renderHtmlReport(await readRunReport(outDir)));
  return path;
}

/** One page that needs nothing else: no script, no file, no network. */
export async function renderHtmlReport(report: RunReport): Promise<string> {
  const template = await readFile(join(packageRoot, "templates", "report.html"), "utf8");
  // A function, because "$&" in a model's name would be a pattern.
  return template.replace("<!-- content -->", () => renderPage(report).toString());
}

function renderPage({ run, jobs }: RunReport): Html {
  const { summary, shard } = run;
  const counts = (["built", "restored", "fresh", "failed", "cancelled", "skipped"] as const)
    .filter((state) => summary[state] > 0)
    .map((state) => html`<li class="state ${state}"><b>${summary[state]}</b> ${state}</li>`);
  const size = jobs.reduce((sum, job) => sum + (sizeOf(job) ?? 0), 0);
  const models = groupByModel(jobs);
  return html`<header>
<h1>trtorch-build</h1>
<ul class="counts">${counts}</ul>
<p>${count(jobs.length, "job")}${shard === null ? null : html`, shard ${shard}`}, in ${formatDuration(summary.durationMs)}; engines of ${formatBytes(size)}.</p>
</header>
${renderTimeline(jobs)}
<section>
<h2>Jobs</h2>
${renderJobs(jobs)}
</section>
${renderPrecisions(models)}
${renderGolden(jobs)}
<section>
<h2>Models</h2>
${models.map(([name, own]) => renderModel(name, own, models.length <= MODELS_OPEN))}
</section>
`;
}

function renderTimeline(jobs: readonly ReportedJob[]): Html | null {
  const bars = jobs.flatMap(({ id, summary, result }) => {
    if (summary?.span === undefined) return [];
    return [{ id, ...summary.span, failed: summary.status !== "built", phases: result?.durations ?? {} }];
  });
  if (bars.length === 0) return null;
  return html`<section>
<h2>Timeline</h2>
${drawTimeline(bars)}
</section>`;
}

function renderJobs(jobs: readonly ReportedJob[]): Html {
  const largest = Math.max(1, ...jobs.map((job) => sizeOf(job) ?? 0));
  const failedFirst = jobs.toSorted((a, b) => Number(stateOf(b) === "failed") - Number(stateOf(a) === "failed"));
  const rows = failedFirst.map((job) => {
    const size = sizeOf(job);
    const { error, span } = job.summary ?? {};
    const duration = job.summary?.durationMs ?? (span === undefined ? undefined : span.end - span.start);
    const library = job.result?.library ?? null;
    return html`<tr>
<th scope="row">${breakable(job.id)}</th>
<td><span class="state ${stateOf(job)}">${stateOf(job)}</span></td>
<td class="number">${duration === undefined ? null : formatDuration(duration)}</td>
<td class="number">${size === null ? null : html`${formatBytes(size)}<span class="bar" style="width:${((100 * size) / largest).toFixed(1)}%"></span>`}</td>
<td class="number">${job.result?.summary.layers ?? null}</td>
<td>${library === null ? (job.manifest?.backend ?? null) : `${library.name} ${library.version}`}${job.result?.engineReused === true ? ", shared" : null}</td>
</tr>
${error === undefined ? null : html`<tr class="error"><td colspan="6"><pre>${error.code}: ${error.message}</pre></td></tr>`}`;
  });
  return html`<div class="scroll"><table class="jobs">
<thead><tr><th>job</th><th>state</th><th class="number">time</th><th class="number">engine</th><th class="number">layers</th><th>by</th></tr></thead>
<tbody>${rows}</tbody>
</table></div>`;
}

/** Jobs of a model read the same file: they share a section, and what differs between them (if anything) is shown for each. */
function renderModel(name: string, jobs: readonly ReportedJob[], open: boolean): Html {
  const variants = new Map<string, { support: SupportReport; ids: string[] }>();
  for (const { id, support } of jobs) {
    if (support === null) continue;
    const { operators, graph, inputs, outputs, removed } = support;
    const key = JSON.stringify([operators, graph, inputs, outputs, removed]);
    const variant = variants.get(key) ?? { support, ids: [] };
    variant.ids.push(id.slice(name.length + 1));
    variants.set(key, variant);
  }
  const reports = [...variants.values()].map(
    ({ support, ids }) => html`${variants.size > 1 ? html`<p class="variant">${ids.join(", ")}</p>` : null}
${renderSupport(support)}`,
  );
  const failed = jobs.some((job) => stateOf(job) === "failed");
  const none = html`<p>There is no support report: ${failed ? "no job of it was built" : html`the config's <code>emit</code> leaves it out`}.</p>`;
  return html`<details class="model"${open ? OPEN : null}>
<summary><h3>${breakable(name)}</h3> <span>${count(jobs.length, "job")}</span></summary>
${reports.length === 0 ? none : reports}
</details>
`;
}

function renderSupport(support: SupportReport): Html {
  const bindings = [...support.inputs, ...support.outputs];
  const nodes = support.operators.reduce((sum, row) => sum + row.count, 0);
  const verdict =
    support.segments !== undefined
      ? html`<b>Torch runs a part of this method.</b>`
      : support.supported
        ? "TensorRT runs all of this method."
        : html`<b>Not supported as it is.</b> ${support.problem}`;
  return html`<p>${verdict}
${nodes} operators, ${support.parameters.tensors} constant tensors of ${support.parameters.elements.toLocaleString("en-US")} elements.</p>
<details open><summary>Graph</summary>
<p class="legend">${legend(support)}</p>
<div class="scroll picture">${drawGraph(support.graph, `${support.model}: ${support.method}`)}</div></details>
${
  bindings.length === 0
    ? null
    : html`<details open><summary>Bindings</summary><div class="scroll"><table>
<thead><tr><th>binding</th><th>type</th><th>dims</th></tr></thead>
<tbody>${bindings.map((binding, index) => html`<tr><th scope="row">${binding.name}</th><td>${index < support.inputs.length ? "in" : "out"}, ${binding.type}</td><td>${binding.dims.join(" × ") || "scalar"}</td></tr>`)}</tbody>
</table></div></details>`
}
${support.segments === undefined ? null : renderSegments(support.segments)}
<details><summary>Operators</summary><div class="scroll"><table>
<thead><tr><th>operator</th><th class="number">nodes</th><th>by</th><th class="number">layers</th><th>source</th></tr></thead>
<tbody>${support.operators.map(
    (row) =>
      html`<tr${row.handledBy === null ? MISSING : null}><th scope="row">${breakable(row.operator)}</th><td class="number">${row.count}</td><td>${row.handledBy ?? "nobody"}${row.origin === null ? null : html` <small>${breakable(row.origin)}</small>`}</td><td class="number">${row.layers}</td><td><small>${breakable(row.sources.slice(0, 3).join(", "))}${row.sources.length > 3 ? ` and ${row.sources.length - 3} more` : null}</small></td></tr>`,
  )}</tbody>
</table></div></details>
<details><summary>Layers</summary><div class="scroll"><table>
<tbody>${Object.entries(support.layers).map(([type, number]) => html`<tr><th scope="row">${type}</th><td class="number">${number}</td></tr>`)}</tbody>
</table></div></details>
${
  support.removed.length === 0
    ? null
    : html`<details><summary>Removed by lowering</summary><div class="scroll"><table>
<thead><tr><th>pass</th><th>what</th><th class="number">count</th><th>details</th></tr></thead>
<tbody>${support.removed.map(({ pass, kind, count: times, details }) => html`<tr><td>${pass}</td><td>${kind}</td><td class="number">${times}</td><td><small>${details.join("; ")}</small></td></tr>`)}</tbody>
</table></div></details>`
}`;
}

function renderSegments(segments: readonly SegmentReport[]): Html {
  const rows = segments.map(({ runs, nodes, layers }) => {
    const reasons = [
      ...new Set(nodes.flatMap(({ operator, reason }) => (reason === null ? [] : `${operator}: ${reason}`))),
    ];
    return html`<tr><td><span class="key ${runs === "Torch" ? "torch" : "converter"}">${runs}</span></td><td class="number">${nodes.length}</td><td class="number">${layers}</td><td><small>${reasons.map((reason) => html`${reason}<br>`)}</small></td></tr>`;
  });
  return html`<details open><summary>Segments</summary><div class="scroll"><table>
<thead><tr><th>runs in</th><th class="number">operators</th><th class="number">layers</th><th>why not in TensorRT</th></tr></thead>
<tbody>${rows}</tbody>
</table></div></details>`;
}

function legend({ graph }: SupportReport): Html[] {
  const words = {
    converter: "TensorRT",
    evaluator: "at build time",
    torch: "PyTorch",
    nobody: "nobody: not supported",
  } as const;
  const present = new Set(graph.nodes.map((node) => node.runBy));
  return Object.entries(words)
    .filter(([runBy]) => present.has(runBy as keyof typeof words))
    .map(([runBy, text]) => html`<span class="key ${runBy}">${text}</span> `);
}

function groupByModel(jobs: readonly ReportedJob[]): [string, ReportedJob[]][] {
  const models = new Map<string, ReportedJob[]>();
  for (const job of jobs) models.set(job.model, [...(models.get(job.model) ?? []), job]);
  return [...models];
}

function stateOf(job: ReportedJob): string {
  return job.summary?.status ?? (job.manifest === null ? "not built" : "kept");
}

function sizeOf({ manifest }: ReportedJob): number | null {
  return manifest === null ? null : engineSize(manifest.artifacts);
}
