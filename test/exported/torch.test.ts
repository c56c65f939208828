import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import t from "tap";
import { loadExported } from "../../src/exported/index.js";
import { allNodes, type Graph } from "../../src/ir/graph.js";
import { printGraph } from "../../src/ir/printer.js";
import { Tensor } from "../../src/ir/tensor.js";
import { TupleType, type Type } from "../../src/ir/type.js";

const FIXTURES = new URL("../fixtures/exported/", import.meta.url);
const MODELS = new URL("../../../shared/models/", import.meta.url);

const python = process.env.TRTORCH_TEST_PYTHON ?? "python3";

async function skipReason(): Promise<string | false> {
  const probe = await execa(python, ["-c", "import torch; print(torch.__version__)"], { reject: false });
  if (probe.failed) return `${python} has no PyTorch; set TRTORCH_TEST_PYTHON`;
  return probe.stdout.startsWith("2.11.") ? false : `PyTorch is ${probe.stdout}, not 2.11`;
}

/**
 * The graph as PyTorch's `parse_ir` and interpreter take it: tensors, which have no text, as inputs; lists of constants
 * made by nodes; one output.
 */
function runnable(graph: Graph): { ir: string; weights: unknown[] } {
  const weights: unknown[] = [];
  for (const node of [...allNodes(graph.block)].filter(({ kind }) => kind === "prim::Constant")) {
    const value = node.attributes.get("value");
    const output = node.output();
    if (value instanceof Tensor) {
      output.replaceAllUsesWith(graph.addInput(`weight_${weights.length}`, output.type));
      const data = Buffer.from(value.contiguousBytes()).toString("base64");
      weights.push({ dtype: value.dtype, sizes: value.sizes, data });
      node.destroy();
    } else if (Array.isArray(value)) {
      const element = (output.type as Extract<Type, { kind: "ListType" }>).element;
      const items = value.map((item) => graph.createConstant(item, element).insertBefore(node).output());
      const list = graph.createNode("prim::ListConstruct", items, [output.type]).insertBefore(node);
      output.replaceAllUsesWith(list.output());
      node.destroy();
    }
  }
  const outputs = [...graph.outputs];
  const tuple = graph.createNode("prim::TupleConstruct", outputs, [TupleType(outputs.map(({ type }) => type))]);
  graph.block.appendNode(tuple);
  graph.block.returnNode.removeAllInputs();
  graph.registerOutput(tuple.output());
  return { ir: printGraph(graph, { sourceRanges: false }), weights };
}

// PyTorch takes its time to make the programs.

const skip = await skipReason();

t.test("imported graphs compute in PyTorch what the exported programs do", { skip }, async (t) => {
  const directory = t.testdir({});
  await execa(python, [fileURLToPath(new URL("make.py", FIXTURES)), directory, "--complete"]);
  // PyTorch does not read the text of a node that gives nothing.
  const files = readdirSync(directory).filter((file) => file !== "custom_write.pt2");
  const programs = files.map((file) => `${directory}/${file}`);
  for (const model of ["lenet", "bert_tiny"]) programs.push(fileURLToPath(new URL(`${model}/export.pt2`, MODELS)));
  mkdirSync(`${directory}/graphs`);
  const graphs = programs.map((path, i) => {
    const program = loadExported(path, { mutatedBuffers: "outputs" });
    const graph = program.method(program.typeName, "forward").copy();
    const file = `${directory}/graphs/${i}_${basename(path, ".pt2")}.json`;
    writeFileSync(file, JSON.stringify({ program: path, ...runnable(graph) }));
    return file;
  });
  const run = await execa(python, [fileURLToPath(new URL("run_graph.py", FIXTURES)), ...graphs]);
  const lines = run.stdout.split("\n").filter((line) => line.startsWith("{"));
  t.equal(lines.length, programs.length);
  for (const line of lines) {
    const { name, error, failure } = JSON.parse(line) as { name: string; error?: number; failure?: string };
    t.equal(failure, undefined, `${name}: ${failure ?? "runs"}`);
    t.ok((error ?? Infinity) <= 1e-6, `${name}: max error ${error}`);
  }
});
