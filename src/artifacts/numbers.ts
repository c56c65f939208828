import { type OutputComparison, worstOutput } from "../plan/job.js";
import { engineSize } from "../runner/summary.js";
import { formatBytes, formatErrors } from "../util/format.js";
import { drawHistogram } from "./histogram-svg.js";
import { breakable, type Html, html } from "./html.js";
import type { ReportedJob } from "./run-report.js";

/** What each precision of a model costs and how far off it is; null where no model has more than one. */
export function renderPrecisions(models: readonly (readonly [string, readonly ReportedJob[]])[]): Html | null {
  const several = models.filter(([, jobs]) => new Set(jobs.map(precisionOf)).size > 1 || jobs.some(isQuantized));
  if (several.length === 0) return null;
  const timed = several.some(([, jobs]) => jobs.some(({ result }) => result?.latencyMs != null));
  const rows = several.flatMap(([model, jobs]) =>
    jobs.map((job, i) => {
      const worst = worstOutput(comparisonOf(job));
      const size = job.manifest === null ? null : engineSize(job.manifest.artifacts);
      const latency = job.result?.latencyMs ?? null;
      const name = i > 0 ? null : html`<th scope="rowgroup" rowspan="${jobs.length}">${breakable(model)}</th>`;
      return html`<tr>
${name}<td>${precisionOf(job)}</td><td>${job.summary?.target ?? job.manifest?.target ?? null}</td>
<td class="number">${size === null ? null : formatBytes(size)}</td>
${worst === null ? html`<td colspan="5"></td>` : errorCells(worst)}
${timed ? html`<td class="number">${latency === null ? null : `${latency.toPrecision(3)} ms`}</td>` : null}
</tr>
`;
    }),
  );
  return html`<section>
<h2>Precisions</h2>
<div class="scroll"><table>
<thead><tr><th>model</th><th>precision</th><th>target</th><th class="number">engine</th>${ERROR_HEADS}${timed ? html`<th class="number">latency</th>` : null}</tr></thead>
<tbody>${rows}</tbody>
</table></div>
<p class="legend">Errors are those of the worst output, beside the model's golden file, on the CPU reference and on the job's GPU. <code>trtorch-build precision</code> measures beside fp32 where there is none, and finds the operators to keep in fp32.</p>
</section>`;
}

/** Each output beside its golden value, also of the jobs that failed for it. */
export function renderGolden(jobs: readonly ReportedJob[]): Html | null {
  const rows = jobs.flatMap((job) =>
    comparisonOf(job).map(
      (output) => html`<tr>
<th scope="row">${breakable(job.id)}</th><td>${output.output}</td><td>${output.device ?? "CPU reference"}</td>
${errorCells(output)}
<td class="number">${output.nan === output.referenceNan ? output.nan : `${output.nan}, not ${output.referenceNan}`}</td>
<td>${drawHistogram(output)}</td>
</tr>
`,
    ),
  );
  if (rows.length === 0) return null;
  return html`<section>
<h2>Numbers against golden</h2>
<div class="scroll"><table>
<thead><tr><th>job</th><th>output</th><th>on</th>${ERROR_HEADS}<th class="number">NaN</th><th>errors, 0 to 10</th></tr></thead>
<tbody>${rows}</tbody>
</table></div>
</section>`;
}

const ERROR_HEADS = html`<th>tolerance</th><th class="number">max error</th><th class="number">allowed</th><th class="number">mean error</th><th class="number">cosine</th>`;

/** The cells below {@link ERROR_HEADS}. */
function errorCells(output: OutputComparison): Html {
  const { passed } = output;
  return html`<td><span class="state ${passed ? "built" : "failed"}">${passed ? "within" : "beyond"}</span></td>
${formatErrors(output).map((number) => html`<td class="number">${number}</td>`)}`;
}

function comparisonOf({ summary, result }: ReportedJob): readonly OutputComparison[] {
  return summary?.comparison ?? result?.comparison ?? [];
}

function precisionOf(job: ReportedJob): string {
  const precision = job.summary?.precision ?? job.manifest?.precision ?? "";
  return isQuantized(job) ? `${precision}, int8` : precision;
}

/** int8 comes from the model itself: from quantization that it holds. */
function isQuantized({ support }: ReportedJob): boolean {
  return support?.layers.kQUANTIZE !== undefined;
}
