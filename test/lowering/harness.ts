import { execFileSync } from "node:child_process";
import type { Graph } from "../../src/ir/graph.js";
import { parseIR } from "../../src/ir/parser.js";
import { printGraph } from "../../src/ir/printer.js";
import { verify } from "../../src/ir/verifier.js";
import { eliminateDeadCode } from "../../src/lowering/eliminate-dead-code.js";
import { poolConstants } from "../../src/lowering/pool-constants.js";

/**
 * The nodes of a graph after a pass, a line each, without indentation at the front. Constants that are plain are
 * written where they are used: `aten::add(%x, 2)`. Unnamed values are numbered from 0 in the order of the text.
 */
export function after(text: string, pass: (graph: Graph) => unknown): string[] {
  const graph = parseIR(text);
  pass(graph);
  verify(graph);
  return nodesOf(graph);
}

export function nodesOf(graph: Graph): string[] {
  eliminateDeadCode(graph);
  poolConstants(graph);
  verify(graph);
  const constants = new Map<string, string>();
  const numbers = new Map<string, string>();
  const lines: string[] = [];
  for (const line of printGraph(graph, { sourceRanges: false }).trimEnd().split("\n")) {
    const constant = /^ {2}%([\w.]+) : .+? = prim::Constant(?:\[value=(.*)\])?\(\)$/.exec(line);
    if (constant?.[1] !== undefined) constants.set(constant[1], constant[2] ?? "None");
    else if (!/^graph|^ {6}%[\w.]+ : .*[,:]$/.test(line)) {
      lines.push(
        line.slice(2).replace(/%([\w.]+)/g, (name, id: string) => {
          const value = constants.get(id);
          if (value !== undefined) return value;
          if (!/^\d+$/.test(id)) return name;
          if (!numbers.has(id)) numbers.set(id, `%${numbers.size}`);
          return numbers.get(id) as string;
        }),
      );
    }
  }
  return lines.map((line) => line.replace(/ : Tensor(?![[?])/g, ""));
}

/** A Python with PyTorch, for tests that compare with it. */
export const python = process.env.TRTORCH_TEST_PYTHON;

export function runPython(args: readonly string[], input = ""): string {
  return execFileSync(python ?? "python3", args, { input, encoding: "utf8", maxBuffer: 1 << 26 });
}
