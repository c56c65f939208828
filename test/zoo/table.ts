import { existsSync, readFileSync, writeFileSync } from "node:fs";

const COLUMNS = {
  model: "model",
  form: "form",
  nodes: "nodes",
  layers: "layers",
  maxError: "max error",
  dims: "dims",
  engine: "engine",
  fp16: "fp16",
  problem: "problem",
} as const;

type Column = keyof typeof COLUMNS;

/** A model in one form, and how far it came; `problem` is empty when all went well. Columns left out stay as they are. */
export type TableRow = { readonly model: string; readonly form: string } & { readonly [C in Column]?: string };

const INTRODUCTION = `# The zoo

Models made with PyTorch 2.11, torchvision 0.26 and, \`hf_*\`, transformers 5.23, with random weights, by \`test/zoo/make_models.py\`; this table by
\`npm run test:zoo -- --forms trace,script,export,export-dynamic,export-core --table docs/ZOO.md\`. Each is converted
for TensorRT-RTX, run on the CPU reference and compared with what PyTorch computed (max abs error at most
1e-3 × (1 + max|ref|), cosine at least 0.9999), held tensor by tensor against the dims and types that the TensorRT-RTX
library infers, and built for sm_89. \`export-dynamic\` has a range for the batch and is run at two sizes of it;
\`ranges_*\` have ranges for several dims in the forms \`trace\`, \`script\` and \`export-dynamic\`, and are run at min,
opt, max and an odd size, as are \`hf_*\`, with ranges of batch and length. \`export-core\` is after
\`run_decompositions()\`. Models that cannot be scripted have no form \`script\`.

Column fp16 is from \`npm run test:zoo -- --precision fp16 --forms FORMS --table docs/ZOO.md\`: the network as \`precision: fp16\`
makes it, against the same fp32 numbers of PyTorch. Its largest error as a part of the output's largest number (at most
2e-2) and the cosine (at least 0.999) are the worst of all outputs and sizes; then the size of the engine for sm_89.

`;

/** Writes the table; what rows of the file say beyond `rows` stays. */
export function writeTable(file: string, rows: readonly TableRow[]): void {
  const merged = new Map<string, TableRow>();
  for (const row of [...readTable(file), ...rows]) {
    const key = `${row.model} ${row.form}`;
    merged.set(key, { ...merged.get(key), ...row });
  }
  const sorted = [...merged.values()].sort((a, b) => a.model.localeCompare(b.model, "en"));
  const passed = sorted.filter(({ problem = "" }) => problem === "").length;
  const unmade = sorted.filter(({ nodes = "", problem = "" }) => nodes === "" && problem.startsWith("PyTorch")).length;
  const halves = sorted.filter(({ fp16 = "" }) => fp16 !== "");
  const halvesFailed = halves.filter(({ fp16 = "" }) => fp16.startsWith("✗")).length;
  const summary =
    `${passed} pass, ${sorted.length - passed - unmade} fail, ${unmade} that PyTorch itself cannot make. ` +
    `fp16: ${halves.length - halvesFailed} pass, ${halvesFailed} fail.`;
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  const columns = Object.keys(COLUMNS) as Column[];
  const head = [line(Object.values(COLUMNS)), line(columns.map(() => "---"))];
  const body = sorted.map((row) => line(columns.map((column) => (row[column] ?? "").replaceAll("|", "\\|"))));
  writeFileSync(file, `${INTRODUCTION}${summary}\n\n${[...head, ...body].join("\n")}\n`);
}

/** Columns by their titles: a table written before a column was thought of can be read. */
function readTable(file: string): TableRow[] {
  if (!existsSync(file)) return [];
  const [titles = [], , ...rows] = readFileSync(file, "utf8")
    .split("\n")
    .filter((line) => line.startsWith("| "))
    .map((line) =>
      line
        .slice(2, -2)
        .split(/(?<!\\)\|/)
        .map((cell) => cell.trim().replaceAll("\\|", "|")),
    );
  return rows.map((cells) => {
    const row = Object.entries(COLUMNS).map(([column, title]) => [column, cells[titles.indexOf(title)] ?? ""]);
    return Object.fromEntries(row) as TableRow;
  });
}
