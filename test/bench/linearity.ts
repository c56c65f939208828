/**
 * Conversion stays linear: for each model of the zoo, the nodes of its program (calls inlined) against the time from
 * file to network. Prints a table with the line through it, `ms = a + b * nodes + c * MB of kernels`, and exits with 1
 * when a model takes more than 3 times what the line says.
 *
 *     TRTORCH_ZOO=DIR nice node --import tsx test/bench/linearity.ts [--csv FILE]
 *
 * DIR is where test/zoo/make_models.py put its models.
 */
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { convert } from "../../src/conversion/convert.js";
import { defaultRegistry } from "../../src/conversion/default-registry.js";
import { allNodes } from "../../src/ir/graph.js";
import { lower } from "../../src/lowering/pipeline.js";
import { readNpz } from "../../src/util/npz.js";
import { capabilitiesOf } from "../../src/worker/convert-model.js";
import { loadModel, resolveInputs } from "../../src/worker/model.js";

/** Each is timed this often; the best counts, since compiling JavaScript and other processes add to it. */
const REPEATS = 8;
const MOST = 3;

interface Measured {
  readonly model: string;
  readonly nodes: number;
  readonly megabytes: number;
  readonly ms: number;
}

const { values: options } = parseArgs({ options: { csv: { type: "string" } } });
const folder = process.env.TRTORCH_ZOO;
if (folder === undefined) {
  console.log("skipped: set TRTORCH_ZOO to where test/zoo/make_models.py put its models");
  process.exit(0);
}
const registry = defaultRegistry();
const rows: Measured[] = [];
for (const name of readdirSync(folder).sort()) {
  for (const form of ["trace.ts", "script.ts", "export.pt2"]) {
    const file = join(folder, name, form);
    if (existsSync(file)) rows.push(measure(`${name}/${form}`, file, join(folder, name, "io.npz")));
  }
}
const line = fit(rows);
const expected = ({ nodes, megabytes }: Measured): number => line[0] + line[1] * nodes + line[2] * megabytes;
const table = rows
  .map((row) => ({ ...row, expected: expected(row), ratio: row.ms / expected(row) }))
  .sort((a, b) => a.nodes - b.nodes);
for (const { model, nodes, megabytes, ms, expected, ratio } of table) {
  const cells = [String(nodes).padStart(6), megabytes.toFixed(0).padStart(5), ms.toFixed(1).padStart(8)];
  console.log(
    `${model.padEnd(44)}${cells.join(" ")} ms, line ${expected.toFixed(1).padStart(7)}, ×${ratio.toFixed(2)}`,
  );
}
if (options.csv !== undefined) {
  const lines = table.map(({ model, nodes, megabytes, ms }) =>
    [model, nodes, megabytes.toFixed(1), ms.toFixed(1)].join(),
  );
  writeFileSync(options.csv, `${["model,nodes,MB,ms", ...lines].join("\n")}\n`);
}
const above = table.filter(({ ratio }) => ratio > MOST);
console.log(
  `linearity: ms = ${line[0].toFixed(2)} + ${(1000 * line[1]).toFixed(1)}e-3 * nodes + ${line[2].toFixed(3)} * MB; ` +
    `${above.length} of ${table.length} more than ${MOST} times above`,
);
process.exit(above.length > 0 ? 1 : 0);

function measure(model: string, file: string, io: string): Measured {
  const given = [...readNpz(io)].filter(([key]) => key.startsWith("in")).map(([, tensor]) => tensor);
  let [nodes, bytes, ms] = [0, 0, Number.POSITIVE_INFINITY];
  for (let i = 0; i < REPEATS; i++) {
    const start = performance.now();
    const program = loadModel(file);
    const inputs = given.map(({ dtype, sizes }) => ({ name: null, dtype, dims: sizes }));
    const declared = program.inputs("forward") === undefined ? inputs : null;
    nodes = 0;
    const { graph } = lower(program, "forward", {
      inputCount: given.length,
      dumpIr: (pass, inlined) => {
        if (pass === "inline-calls") nodes = [...allNodes(inlined.block)].length;
      },
    });
    const { network } = convert(graph, {
      inputs: resolveInputs(program, "forward", graph, declared),
      registry,
      capabilities: capabilitiesOf("tensorrt-rtx"),
    });
    ms = Math.min(ms, performance.now() - start);
    // Folding batch normalizations multiplies the kernels of convolutions.
    bytes = network.layers.reduce(
      (sum, layer) => sum + (layer.type === "kCONVOLUTION" ? (layer.attributes.kernel?.values.byteLength ?? 0) : 0),
      0,
    );
  }
  return { model, nodes, megabytes: bytes / 1e6, ms };
}

/** Least squares. */
function fit(measured: readonly Measured[]): [number, number, number] {
  const normal = [0, 1, 2].map(() => [0, 0, 0, 0]) as number[][];
  for (const { nodes, megabytes, ms } of measured) {
    const x = [1, nodes, megabytes];
    for (let i = 0; i < 3; i++) {
      const row = normal[i] as number[];
      for (let j = 0; j < 3; j++) row[j] = (row[j] as number) + (x[i] as number) * (x[j] as number);
      row[3] = (row[3] as number) + (x[i] as number) * ms;
    }
  }
  for (let i = 0; i < 3; i++) {
    const pivot = normal[i] as number[];
    for (let j = 0; j < 3; j++) {
      if (j === i) continue;
      const row = normal[j] as number[];
      const factor = (row[i] as number) / (pivot[i] as number);
      for (let k = i; k < 4; k++) row[k] = (row[k] as number) - factor * (pivot[k] as number);
    }
  }
  return normal.map((row, i) => (row[3] as number) / (row[i] as number)) as [number, number, number];
}
