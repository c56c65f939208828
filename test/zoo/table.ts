import { existsSync, readFileSync, writeFileSync } from "node:fs";

/** A model in one form, and how far it came; `problem` is empty when all went well. */
export interface TableRow {
  readonly model: string;
  readonly form: string;
  readonly nodes: string;
  readonly layers: string;
  readonly maxError: string;
  readonly dims: string;
  readonly engine: string;
  readonly problem: string;
}

const COLUMNS: readonly (keyof TableRow)[] = [
  "model",
  "form",
  "nodes",
  "layers",
  "maxError",
  "dims",
  "engine",
  "problem",
];

const INTRODUCTION = `# The zoo

Models made with PyTorch 2.11, torchvision 0.26 and, \`hf_*\`, transformers 5.23, with random weights, by \`test/zoo/make_models.py\`; this table by
\`npm run test:zoo -- --forms trace,script,export,export-dynamic,export-core --table docs/ZOO.md\`. Each is converted
for TensorRT-RTX, run on the CPU reference and compared with what PyTorch computed (max abs error at most
1e-3 × (1 + max|ref|), cosine at least 0.9999), held tensor by tensor against the dims and types that the TensorRT-RTX
library infers, and built for sm_89. \`export-dynamic\` has a range for the batch and is run at two sizes of it;
\`ranges_*\` have ranges for several dims in the forms \`trace\`, \`script\` and \`export-dynamic\`, and are run at min,
opt, max and an odd size, as are \`hf_*\`, with ranges of batch and length. \`export-core\` is after
\`run_decompositions()\`. Models that cannot be scripted have no form \`script\`.

`;

/** Writes the table; rows of the file that are of other models or forms stay. */
export function writeTable(file: string, rows: readonly TableRow[]): void {
  const merged = new Map<string, TableRow>();
  for (const row of [...readTable(file), ...rows]) merged.set(`${row.model} ${row.form}`, row);
  const sorted = [...merged.values()].sort((a, b) => a.model.localeCompare(b.model, "en"));
  const passed = sorted.filter(({ problem }) => problem === "").length;
  const unmade = sorted.filter(({ nodes, problem }) => nodes === "" && problem.startsWith("PyTorch")).length;
  const summary = `${passed} pass, ${sorted.length - passed - unmade} fail, ${unmade} that PyTorch itself cannot make.`;
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  const head = [line(["model", "form", "nodes", "layers", "max error", "dims", "engine", "problem"])];
  head.push(line(COLUMNS.map(() => "---")));
  const body = sorted.map((row) => line(COLUMNS.map((column) => row[column].replaceAll("|", "\\|"))));
  writeFileSync(file, `${INTRODUCTION}${summary}\n\n${[...head, ...body].join("\n")}\n`);
}

function readTable(file: string): TableRow[] {
  if (!existsSync(file)) return [];
  return readFileSync(file, "utf8")
    .split("\n")
    .filter((line) => line.startsWith("| "))
    .slice(2)
    .map((line) => {
      const cells = line
        .slice(2, -2)
        .split(/(?<!\\)\|/)
        .map((cell) => cell.trim().replaceAll("\\|", "|"));
      return Object.fromEntries(COLUMNS.map((column, i) => [column, cells[i] ?? ""])) as unknown as TableRow;
    });
}
