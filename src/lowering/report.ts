import type { Node, SourceRange } from "../ir/graph.js";

/** One kind of thing that a pass took out of the graph or wrote anew. */
export interface Removal {
  readonly pass: string;
  /** The operator, or for what has no operator a word: `aten::dropout`, `exception`, `state write`. */
  readonly kind: string;
  readonly count: number;
  /** What was said there: messages of exceptions and warnings, names of attributes. Without repetitions. */
  readonly details: readonly string[];
  /** Where the first one stood. */
  readonly sourceRange: SourceRange | undefined;
}

/** What lowering removed, for the support report; in the order in which each kind was first met. */
export class LoweringReport {
  readonly #entries = new Map<
    string,
    { pass: string; kind: string; count: number; details: Set<string>; node: Node }
  >();

  record(pass: string, kind: string, node: Node, detail?: string): void {
    const key = `${pass} ${kind}`;
    const entry = this.#entries.get(key) ?? { pass, kind, count: 0, details: new Set<string>(), node };
    entry.count++;
    if (detail !== undefined) entry.details.add(detail);
    this.#entries.set(key, entry);
  }

  get removals(): Removal[] {
    return [...this.#entries.values()].map(({ pass, kind, count, details, node }) => ({
      pass,
      kind,
      count,
      details: [...details],
      sourceRange: node.sourceRange,
    }));
  }
}
