import type { Constant } from "../ir/constant.js";
import { allNodes, type Block, constantOf, type Graph, type Node, type Value } from "../ir/graph.js";
import { cloneBefore, intBefore, replaceNode } from "./blocks.js";
import { hasEffect } from "./effects.js";
import { evaluate, evaluateTypes } from "./evaluate.js";

/** A loop may run this often at most to be unrolled, whatever its size: `while True` has no other end. */
const MAX_TRIPS = 100_000;

/**
 * Unrolls loops whose number of iterations is known: `for` with a constant trip count, `while` where constants alone
 * decide when it ends. `budget` is the number of nodes that unrolling may add in all; a loop beyond it stays.
 */
export function unrollLoops(graph: Graph, budget: { nodes: number }): boolean {
  return unroll(graph.block, budget);
}

function unroll(block: Block, budget: { nodes: number }): boolean {
  let changed = false;
  for (const node of block.nodes()) {
    // Outer loops first: how often an inner one runs may depend on the outer one's counter.
    if (node.kind === "prim::Loop" && unrollLoop(node, budget)) changed = true;
    else for (const inner of node.blocks) changed = unroll(inner, budget) || changed;
  }
  return changed;
}

function unrollLoop(node: Node, budget: { nodes: number }): boolean {
  const [body] = node.blocks as [Block];
  const trips = countTrips(node, body);
  if (trips === undefined) return false;
  let size = 1;
  for (const _ of allNodes(body)) size++;
  if (size * trips > budget.nodes) return false;
  budget.nodes -= size * trips;
  let carried: readonly Value[] = node.inputs.slice(2);
  for (let i = 0; i < trips; i++) {
    const counter = intBefore(node, i);
    const [, ...next] = cloneBefore(body, node, [counter, ...carried]);
    carried = next;
  }
  replaceNode(node, carried);
  return true;
}

/** How often the body runs; undefined where that depends on the inputs. */
function countTrips(node: Node, body: Block): number | undefined {
  const limit = constantOf(node.input(0));
  const first = constantOf(node.input(1));
  if (first === false || (typeof limit === "number" && limit <= 0)) return 0;
  if (typeof limit !== "number" || first !== true) return undefined;
  const condition = body.returnNode.input(0);
  // A `for` loop goes on until the count is reached.
  if (constantOf(condition) === true) return limit <= MAX_TRIPS ? limit : undefined;
  return simulate(node, body, limit);
}

/** Runs the loop on what constants tell of it, as long as its condition follows from them. */
function simulate(node: Node, body: Block, limit: number): number | undefined {
  let carried: (Constant | undefined)[] = node.inputs.slice(2).map(constantOf);
  for (let trip = 1; trip <= MAX_TRIPS; trip++) {
    const known = new Map<Value, Constant | undefined>();
    known.set(body.paramNode.output(0), trip - 1);
    for (const [i, value] of carried.entries()) known.set(body.paramNode.output(i + 1), value);
    const goesOn = compute(body.returnNode.input(0), body, known);
    if (typeof goesOn !== "boolean") return undefined;
    if (!goesOn || trip >= limit) return trip;
    carried = carried.map((_, i) => compute(body.returnNode.input(i + 1), body, known));
  }
  return undefined;
}

function compute(value: Value, body: Block, known: Map<Value, Constant | undefined>): Constant | undefined {
  if (known.has(value)) return known.get(value);
  const { node } = value;
  const constant = constantOf(value);
  if (constant !== undefined) return constant;
  let result: Constant | undefined;
  if (node.owningBlock === body && node.blocks.length === 0 && !hasEffect(node)) {
    const inputs: Constant[] = [];
    for (const input of node.inputs) {
      const computed = compute(input, body, known);
      if (computed === undefined) break;
      inputs.push(computed);
    }
    result = evaluateTypes(node) ?? (inputs.length === node.inputs.length ? evaluate(node, inputs) : undefined);
  } else if (node.owningBlock === body && node.kind === "prim::If") {
    const taken = compute(node.input(), body, known);
    const branch = typeof taken === "boolean" ? node.blocks[taken ? 0 : 1] : undefined;
    // What the branch itself computes is left alone: a value from outside it, or a constant, is what breaks give.
    const output = branch?.outputs[node.outputs.indexOf(value)];
    if (output !== undefined)
      result = output.node.owningBlock === branch ? constantOf(output) : compute(output, body, known);
  }
  known.set(value, result);
  return result;
}
