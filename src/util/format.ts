/** `0.3 s`, `12.4 s`, `3 min 05 s`. */
export function formatDuration(milliseconds: number): string {
  const seconds = milliseconds / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
}

/** `812 B`, `1.2 MB`: decimal, as file managers show them. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  for (const unit of ["B", "kB", "MB", "GB"]) {
    if (value < 1000) return `${unit === "B" ? value : value.toFixed(1)} ${unit}`;
    value /= 1000;
  }
  return `${value.toFixed(1)} TB`;
}

/** How far off numbers are: `3.05e-5`, `0.0973`, `0`; null stands for what is not finite. */
export function formatError(error: number | null): string {
  if (error === null) return "not finite";
  if (error === 0) return "0";
  return error < 1e-3 ? error.toExponential(2) : error.toPrecision(3);
}

/** An output beside its reference: max error, what is allowed, mean error, cosine as `0.999998`. */
export function formatErrors(output: {
  readonly maxAbsError: number | null;
  readonly allowed: number;
  readonly meanAbsError: number | null;
  readonly cosine: number | null;
}): [max: string, allowed: string, mean: string, cosine: string] {
  const { maxAbsError, allowed, meanAbsError, cosine } = output;
  const numbers = [formatError(maxAbsError), formatError(allowed), formatError(meanAbsError)] as const;
  return [...numbers, cosine?.toFixed(6) ?? "not finite"];
}

/** `1 job`, `3 jobs`. */
export function count(number: number, noun: string, plural = `${noun}s`): string {
  return `${number} ${number === 1 ? noun : plural}`;
}

/** Columns aligned with two spaces between them. */
export function formatTable(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length);
  return rows
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i] as number))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
