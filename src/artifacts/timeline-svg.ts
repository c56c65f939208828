import { JOB_PHASES, type JobPhase } from "../plan/job.js";
import { type Html, html } from "./html.js";

/** A job's stretch on its slot. */
export interface TimelineBar {
  readonly id: string;
  readonly slot: string;
  /** Milliseconds since the run's start. */
  readonly start: number;
  readonly end: number;
  readonly failed: boolean;
  /** Milliseconds a phase, in the last attempt; empty where they are not known. */
  readonly phases: Partial<Record<JobPhase, number>>;
}

/** Units of the drawing, which is stretched to the page's width: text stays outside it. */
const WIDTH = 1000;

/** A row a slot: its name, and its jobs along the time as a drawing that may be stretched. */
export function drawTimeline(bars: readonly TimelineBar[]): Html {
  const slots = new Map<string, TimelineBar[]>();
  for (const bar of bars) slots.set(bar.slot, [...(slots.get(bar.slot) ?? []), bar]);
  const total = Math.max(1, ...bars.map((bar) => bar.end));
  const names = [...slots.keys()].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  const rows = names.map((name) => {
    const busy = (slots.get(name) as TimelineBar[]).reduce((sum, { start, end }) => sum + end - start, 0);
    return html`<div class="slot"><span>${name}</span><svg viewBox="0 0 ${WIDTH} 20" preserveAspectRatio="none" role="img" aria-label="${name}: ${slots.get(name)?.length ?? 0} jobs">${(slots.get(name) as TimelineBar[]).map((bar) => drawBar(bar, WIDTH / total))}</svg><span class="number">${Math.round((100 * busy) / total)} %</span></div>
`;
  });
  const ticks = ticksOf(total).map(
    (time) => html`<span style="left:${((100 * time) / total).toFixed(2)}%">${formatTick(time)}</span>`,
  );
  const shown = JOB_PHASES.filter((phase) => bars.some((bar) => bar.phases[phase] !== undefined));
  const legend = shown.map((phase) => html`<span class="key phase-${phase}">${phase}</span> `);
  return html`<div class="timeline">
${rows}<div class="slot axis"><span></span><div>${ticks}</div><span></span></div>
<p class="legend"><span class="key rest">worker</span> ${legend}${bars.some((bar) => bar.failed) ? html`<span class="key failed">failed</span>` : null}</p>
</div>`;
}

function drawBar(bar: TimelineBar, scale: number): Html {
  const title = `${bar.id}: ${formatTick(bar.end - bar.start)} from ${formatTick(bar.start)}`;
  const rect = (start: number, length: number, name: string) =>
    html`<rect class="${name}" x="${(start * scale).toFixed(2)}" y="1" width="${Math.max(1, length * scale).toFixed(2)}" height="18"/>`;
  // What is no phase (the worker's start, attempts that failed) comes first. On a GPU the bar begins with the build: what
  // went before it happened while another job had the device.
  let at = bar.end - JOB_PHASES.reduce((sum, phase) => sum + (bar.phases[phase] ?? 0), 0);
  const parts = JOB_PHASES.flatMap((phase) => {
    const duration = bar.phases[phase];
    if (duration === undefined || bar.failed) return [];
    const from = Math.max(bar.start, at);
    at += duration;
    return at > from ? [rect(from, at - from, `phase-${phase}`)] : [];
  });
  return html`<g><title>${title}</title>${rect(bar.start, bar.end - bar.start, bar.failed ? "failed" : "rest")}${parts}<line x1="${(bar.end * scale).toFixed(2)}" x2="${(bar.end * scale).toFixed(2)}" y1="0" y2="20"/></g>`;
}

/** Four to eight round times up to the total. */
function ticksOf(total: number): number[] {
  const rough = total / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= rough) as number);
  return Array.from({ length: Math.floor(total / step) + 1 }, (_, index) => index * step);
}

function formatTick(milliseconds: number): string {
  if (milliseconds < 1000) return milliseconds === 0 ? "0" : `${Math.round(milliseconds)} ms`;
  if (milliseconds < 120_000) return `${Number((milliseconds / 1000).toFixed(1))} s`;
  return `${Number((milliseconds / 60_000).toFixed(1))} min`;
}
