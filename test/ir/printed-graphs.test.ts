import { readFileSync } from "node:fs";
import t from "tap";
import { allNodes } from "../../src/ir/graph.js";
import { parseIR } from "../../src/ir/parser.js";
import { printGraph } from "../../src/ir/printer.js";
import { operatorName, parseSchema } from "../../src/ir/schema.js";

interface Printed {
  readonly name: string;
  readonly text: string;
  readonly schemas: readonly (string | null)[];
}

const printed = JSON.parse(
  readFileSync(new URL("../fixtures/ir/printed.json", import.meta.url), "utf8"),
) as readonly Printed[];

/** Without what the IR does not keep: numbers of unnamed values, columns, strides and devices, scopes, small tensors' digits. */
function essence(text: string): string[] {
  return text
    .replace(/%\d+\b/g, "%")
    .replace(/:\d+$/gm, "")
    .replace(/, scope: \S+/g, "")
    .replace(/, (?:strides=\[[^\]]*\]|requires_grad=\d|device=\w+)/g, "")
    .replace(/\((?:requires_grad=\d|device=\w+)\)/g, "()")
    .replace(/value=[^"\n]*Type\{[\d,]*\} \]\]/g, "value=<Tensor>]")
    .split("\n");
}

for (const { name, text, schemas } of printed) {
  t.test(name, async (t) => {
    const graph = parseIR(text);
    const wanted = schemas.map((schema) => (schema === null ? undefined : operatorName(parseSchema(schema))));
    const found = [...allNodes(graph.block)].map((node) => node.schema && operatorName(node.schema));
    t.strictSame(found, wanted, "every node has the overload that PyTorch chose");
    const again = printGraph(graph);
    t.strictSame(essence(again), essence(text).slice(0, essence(again).length), "printed as PyTorch prints it");
    t.strictSame(essence(printGraph(parseIR(again))), essence(again), "its own print reads back as the same");
  });
}
