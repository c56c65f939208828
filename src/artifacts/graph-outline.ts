import type { Registry } from "../conversion/registry.js";
import type { Block, Graph, Node, Value } from "../ir/graph.js";
import { operatorName } from "../ir/schema.js";

/** Who runs a part of a method: TensorRT by a converter's layers, the compiler itself, PyTorch, or nobody. */
export type RunBy = "converter" | "evaluator" | "torch" | "nobody";

/** A box of a drawing: one operator, or a stretch of a module's operators. */
export interface OutlineNode {
  readonly kind: "input" | "operators" | "output";
  /** The operator (`conv2d`) or the module's path (`encoder.layer.0`); an input's or output's name. */
  readonly label: string;
  /** What it holds: the operators and how often, the most frequent first. Empty for inputs and outputs. */
  readonly operators: readonly (readonly [name: string, count: number])[];
  readonly runBy: RunBy | null;
}

/** The shape of a method's lowered graph, small enough to draw. Edges go from lower to higher indices of nodes. */
export interface GraphOutline {
  readonly nodes: readonly OutlineNode[];
  readonly edges: readonly (readonly [from: number, to: number])[];
}

/** More boxes than a person can follow are collapsed into modules. */
const MAX_BOXES = 60;

/** What a box of several operators is shown as. */
const WORST_FIRST: readonly RunBy[] = ["nobody", "torch", "converter", "evaluator"];

/**
 * Reduces a lowered graph to its outline. Graphs of more than 60 operators are collapsed by module: neighbours in program
 * order that belong to the same module become one box, so that no cycle can arise.
 *
 * @param torch nodes that stay with PyTorch
 */
export function outlineOf(graph: Graph, registry: Registry, torch: ReadonlySet<Node> = new Set()): GraphOutline {
  const drawn = [...graph.block.nodes()].filter((node) => !isScaffolding(node));
  const runBy = new Map(drawn.map((node) => [node, runnerOf(node, registry, torch)]));
  const groups = group(drawn, (node) => runBy.get(node) as RunBy);

  const nodes: OutlineNode[] = [];
  const boxOf = new Map<Node, number>();
  const inputs = graph.inputs.filter((input) => input.hasUses && input.type.kind !== "ClassType");
  const inputBox = new Map<Value, number>();
  for (const input of inputs) {
    inputBox.set(input, nodes.length);
    nodes.push({ kind: "input", label: input.name, operators: [], runBy: null });
  }
  for (const { label, members } of groups) {
    for (const member of members) boxOf.set(member, nodes.length);
    const runners = new Set(members.map((member) => runBy.get(member)));
    const worst = WORST_FIRST.find((runner) => runners.has(runner)) as RunBy;
    nodes.push({ kind: "operators", label, operators: countOperators(members), runBy: worst });
  }

  const edges = new Set<string>();
  const sources = sourceFinder((value) => boxOf.get(value.node) ?? inputBox.get(value));
  for (const [node, to] of boxOf) {
    for (const value of consumed(node)) {
      for (const from of sources(value)) if (from !== to) edges.add(`${from} ${to}`);
    }
  }
  for (const [index, output] of graph.outputs.entries()) {
    const found = sources(output);
    if (found.size === 0) continue;
    const label = graph.outputs.length === 1 ? "output" : `output ${index}`;
    for (const from of found) edges.add(`${from} ${nodes.length}`);
    nodes.push({ kind: "output", label, operators: [], runBy: null });
  }
  return { nodes, edges: [...edges].map((edge) => edge.split(" ").map(Number) as [number, number]) };
}

/** What holds values together and computes nothing: seen through, not drawn. */
function isScaffolding(node: Node): boolean {
  return node.kind.startsWith("prim::") && node.blocks.length === 0;
}

/** A control flow node is run by whoever runs the worst of what it holds. */
function runnerOf(node: Node, registry: Registry, torch: ReadonlySet<Node>): RunBy {
  if (torch.has(node)) return "torch";
  if (node.blocks.length === 0) return registry.supports(node) ?? "nobody";
  const inside = [...nested(node.blocks)].map((each) => (isScaffolding(each) ? null : runnerOf(each, registry, torch)));
  return inside.includes("nobody") ? "nobody" : inside.includes("torch") ? "torch" : "converter";
}

function* nested(blocks: readonly Block[]): Generator<Node> {
  for (const block of blocks) {
    for (const node of block.nodes()) {
      yield node;
      yield* nested(node.blocks);
    }
  }
}

/** A node's inputs and what its blocks take from outside. */
function* consumed(node: Node): Generator<Value> {
  yield* node.inputs;
  for (const block of node.blocks) yield* block.outputs;
  for (const inner of nested(node.blocks)) yield* inner.inputs;
}

/** The boxes that a value comes from, seen through what is not drawn. */
function sourceFinder(boxOf: (value: Value) => number | undefined): (value: Value) => ReadonlySet<number> {
  const known = new Map<Value, ReadonlySet<number>>();
  const find = (value: Value): ReadonlySet<number> => {
    const box = boxOf(value);
    if (box !== undefined) return new Set([box]);
    const before = known.get(value);
    if (before !== undefined) return before;
    const found = new Set<number>();
    known.set(value, found);
    for (const input of value.node.inputs) for (const source of find(input)) found.add(source);
    return found;
  };
  return find;
}

interface Group {
  readonly label: string;
  readonly members: readonly Node[];
}

/** By module as deep as the boxes allow; what PyTorch runs gets boxes of its own as long as that is possible. */
function group(nodes: readonly Node[], runBy: (node: Node) => RunBy): Group[] {
  if (nodes.length <= MAX_BOXES) return nodes.map((node) => ({ label: shortName(node), members: [node] }));
  const deepest = Math.max(...nodes.map((node) => modulePath(node).length));
  // Arithmetic on sizes between two layers tears no module apart.
  const side = (node: Node) => (runBy(node) === "evaluator" ? "converter" : runBy(node));
  for (const separate of [side, () => ""]) {
    for (let depth = deepest; depth > 0; depth--) {
      const groups = stretches(nodes, (node) => `${separate(node)} ${modulePath(node).slice(0, depth).join(".")}`);
      if (groups.length <= MAX_BOXES) return groups.map((members) => ({ label: nameOf(members, depth), members }));
    }
  }
  const part = Math.ceil(nodes.length / MAX_BOXES);
  return Array.from({ length: Math.ceil(nodes.length / part) }, (_, index) => {
    const members = nodes.slice(index * part, (index + 1) * part);
    return { label: nameOf(members, 0), members };
  });
}

/** Neighbours with the same key. */
function stretches(nodes: readonly Node[], keyOf: (node: Node) => string): Node[][] {
  const groups: Node[][] = [];
  let last: string | null = null;
  for (const node of nodes) {
    const key = keyOf(node);
    if (key === last) groups.at(-1)?.push(node);
    else groups.push([node]);
    last = key;
  }
  return groups;
}

function nameOf(members: readonly Node[], depth: number): string {
  const path = modulePath(members[0] as Node).slice(0, depth);
  return path.length > 0 ? path.join(".") : summaryName(members);
}

function modulePath(node: Node): string[] {
  const path = node.sourceRange?.module ?? "";
  return path === "" ? [] : path.split(".");
}

function countOperators(nodes: readonly Node[]): (readonly [string, number])[] {
  const counts = new Map<string, number>();
  for (const node of nodes) {
    const name = node.schema === undefined ? node.kind : operatorName(node.schema);
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return [...counts].sort(([, a], [, b]) => b - a);
}

function summaryName(nodes: readonly Node[]): string {
  const names = [...new Set(nodes.map(shortName))];
  return names.length <= 2 ? names.join(", ") : `${names.slice(0, 2).join(", ")}, …`;
}

function shortName(node: Node): string {
  return node.kind.replace(/^(aten|prim)::/, "");
}
