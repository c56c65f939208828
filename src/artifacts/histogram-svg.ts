import type { OutputComparison } from "../plan/job.js";
import { type Html, html } from "./html.js";

const BAR = 7;
const HEIGHT = 22;

/** How many elements are how far off: a bar a power of ten, equal ones at the left; the bars beyond what is allowed are marked. */
export function drawHistogram({ output, histogram, allowed, passed }: OutputComparison): Html {
  const most = Math.max(1, ...histogram.map(({ count }) => count));
  const last = histogram.findLastIndex(({ count }) => count > 0);
  const bars = histogram.map(({ below, count }, i) => {
    const from = histogram[i - 1]?.below ?? 0;
    const name = below === 0 ? "equal" : below === null ? `${from} and more` : `${power(from)} to ${power(below)}`;
    // Few of many elements must be seen too.
    const height = count === 0 ? 1 : Math.max(2, (HEIGHT * Math.log1p(count)) / Math.log1p(most));
    const kind = count === 0 ? "none" : i > 0 && (from >= allowed || (i === last && !passed)) ? "beyond" : "within";
    return html`<g><title>${name}: ${count.toLocaleString("en-US")}</title><rect class="${kind}" x="${i * BAR}" y="${(HEIGHT - height).toFixed(1)}" width="${BAR - 1}" height="${height.toFixed(1)}"/></g>`;
  });
  const label = `errors of ${output} by powers of ten`;
  return html`<svg class="histogram" width="${histogram.length * BAR}" height="${HEIGHT}" role="img" aria-label="${label}">${bars}</svg>`;
}

function power(bound: number): string {
  return bound === 0 ? "0" : bound.toExponential(0);
}
