/**
 * Writes docs/OPERATORS.md from the registry: `npm run docs`. A test holds the committed file against it.
 */
import { readdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { defaultRegistry } from "../../src/conversion/default-registry.js";
import { allNodes } from "../../src/ir/graph.js";
import { parseIR } from "../../src/ir/parser.js";
import { printSchema } from "../../src/ir/schema.js";
import { casesFolder, readCases } from "../conversion/cases.js";

export const OPERATORS_FILE = new URL("../../docs/OPERATORS.md", import.meta.url);

export function operatorsDocument(): string {
  const registry = defaultRegistry();
  const entries = registry.entries();
  const cases = casesByOperator();
  const origins = [...new Set(entries.map(({ origin }) => origin ?? ""))].sort();
  const roles = (role: string): number => entries.filter(({ converter }) => converter.role === role).length;
  const sections = origins.map((origin) => {
    const rows = entries
      .filter((entry) => entry.origin === origin)
      .map(({ converter: { schema, notes } }) => {
        const names = cases.get(registry.find(schema)) ?? new Map<string, number>();
        const tests = [...names].map(([family, count]) => `${family} ${count}`).join(", ");
        return `| \`${escaped(printSchema(schema))}\` | ${escaped(notes.limits ?? "")} | ${tests} |`;
      });
    return [`## ${origin}`, "", "| schema | limits | cases |", "|---|---|---|", ...rows, ""].join("\n");
  });
  return `# Operators

Made by \`npm run docs\` from the registry; do not edit. ${roles("converter")} schemas have a converter, which adds layers;
${roles("evaluator")} an evaluator, which computes at build time; ${registry.nodeKinds().length} kinds of node without a schema of
their own are evaluated too. Each heading is a file under \`src/conversion\`; \`limits\` are what its converter refuses or does
otherwise; \`cases\` are entries of \`test/conversion/cases/<family>.yaml\` that contain the operator, each held against PyTorch's
recorded numbers. A schema's in-place twin (\`aten::relu_\`) comes with it: lowering turns writes into values.

What is not a number wins PyTorch's maxima, minima and orders. Here the layers decide, and most pass over it: in \`max\`, \`amax\`,
\`aminmax\`, \`argmax\`, \`sort\`, \`topk\`, \`kthvalue\`, \`median\`, norms of infinite order and max pooling. \`cummax\` and \`cummin\` do
as PyTorch.

${sections.join("\n")}
## Control flow

| node | what becomes of it | limits |
|---|---|---|
| \`prim::If\` | The branch that fixed sizes, bounds of ranges or constants decide; else a conditional. For TensorRT-RTX, branches of few light layers are both computed, and one is selected. | Both branches give tensors, for TensorRT-RTX of equal sizes; whose builder also fails on a few conditionals with heavy branches beside ranges (3 of 700 random ones). |
| \`prim::Loop\` | Unrolled where the number of iterations is known; else a loop. | Carried tensors keep their shape; a condition is computed from tensors from the start. |

## Complex tensors

A complex tensor is a pair of real ones. Beside \`converters/complex\` and \`converters/fourier\` these take them, and compute with
the parts; an engine's own inputs and outputs are real (\`torch.view_as_real\`), and where a model is cut into parts, complex
numbers stay with Torch:

${registry
  .complexForms()
  .map((operator) => `\`${operator}\``)
  .join(", ")}

## Kinds of node without a schema

${registry
  .nodeKinds()
  .map((kind) => `\`${kind}\``)
  .join(", ")}
`;
}

/** How many cases of each family contain the operator of a converter. */
function casesByOperator(): Map<unknown, Map<string, number>> {
  const registry = defaultRegistry();
  const found = new Map<unknown, Map<string, number>>();
  const families = readdirSync(casesFolder())
    .filter((name) => name.endsWith(".yaml"))
    .map((name) => name.slice(0, -".yaml".length));
  for (const family of families.sort()) {
    for (const { ir } of readCases(family)) {
      const nodes = [...allNodes(parseIR(ir).block)];
      const converters = new Set(nodes.flatMap(({ schema }) => (schema && registry.find(schema)) ?? []));
      for (const converter of converters) {
        const counts = found.get(converter) ?? new Map<string, number>();
        counts.set(family, (counts.get(family) ?? 0) + 1);
        found.set(converter, counts);
      }
    }
  }
  return found;
}

function escaped(text: string): string {
  return text.replaceAll("|", "\\|");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(OPERATORS_FILE, operatorsDocument());
