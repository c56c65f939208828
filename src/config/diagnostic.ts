/** A text that diagnostics point into: the config file, or the command line. */
export interface TextSource {
  /** As a person would type it: the path relative to where they are. */
  readonly name: string;
  readonly text: string;
}

/** A stretch of a source, in UTF-16 code units. */
export interface Span {
  readonly offset: number;
  readonly length: number;
}

export interface Diagnostic {
  readonly severity: "error" | "warning";
  readonly message: string;
  readonly source: TextSource;
  readonly span: Span;
  /** What to do next. */
  readonly hint: string | null;
}

export type Result<T, E> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: E };

/** 1-based line and column of an offset, and the line's text. */
export function position(source: TextSource, offset: number): { line: number; column: number; text: string } {
  const start = source.text.slice(0, offset).lastIndexOf("\n") + 1;
  const end = source.text.indexOf("\n", offset);
  let line = 1;
  for (let at = source.text.indexOf("\n"); at !== -1 && at < start; at = source.text.indexOf("\n", at + 1)) line++;
  const text = source.text.slice(start, end === -1 ? undefined : end).replace(/\r$/, "");
  return { line, column: offset - start + 1, text };
}

/**
 * ```
 * trtorch.config.yaml:7:5: error: unknown key "precisons"
 *     7 |     precisons: [fp16]
 *       |     ^^^^^^^^^
 *   hint: did you mean "precisions"?
 * ```
 */
export function formatDiagnostic(diagnostic: Diagnostic): string {
  const { source, span, severity, message, hint } = diagnostic;
  const { line, column, text } = position(source, span.offset);
  const gutter = String(line).padStart(5);
  // Tabs are kept in front of the underline, so that it stands below its word in any terminal.
  const indent = text.slice(0, column - 1).replace(/[^\t]/g, " ");
  const width = Math.max(1, Math.min(span.length, text.length - column + 1));
  const lines = [
    `${source.name}:${line}:${column}: ${severity}: ${message}`,
    `${gutter} | ${text}`,
    `${" ".repeat(gutter.length)} | ${indent}${"^".repeat(width)}`,
  ];
  if (hint !== null) lines.push(`  hint: ${hint}`);
  return lines.join("\n");
}

/** In the order in which they stand in the file. */
export function formatDiagnostics(diagnostics: readonly Diagnostic[]): string {
  return diagnostics
    .toSorted((a, b) => a.span.offset - b.span.offset)
    .map(formatDiagnostic)
    .join("\n\n");
}

/** The candidate that a person most likely meant; null where none is near. */
export function nearest(word: string, candidates: Iterable<string>): string | null {
  let best: string | null = null;
  // A third of the letters may be wrong: "precsion" is precision, "models" is not method.
  let bestDistance = Math.max(1, Math.floor(word.length / 3)) + 0.5;
  for (const candidate of candidates) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** Insertions, deletions, replacements and swaps of neighbours (optimal string alignment). */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let cost = Math.min(
        (last[j] as number) + 1,
        (row[j - 1] as number) + 1,
        (last[j - 1] as number) + (same ? 0 : 1),
      );
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        cost = Math.min(cost, (beforeLast[j - 2] as number) + 1);
      }
      row.push(cost);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length] as number;
}
