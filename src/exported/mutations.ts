import { allNodes, type Graph, type Node, type SourceRange, type Value } from "../ir/graph.js";

/** A tensor that lives on after the call, and the operator that writes to it. */
export interface Mutation {
  readonly target: Value;
  readonly node: Node;
}

/**
 * Which of `targets` (buffers, inputs) the graph's in-place operators write to, through views too: the first write to
 * each. Whether `reshape` and the like make a view is not known here, so they are taken to.
 */
export function findMutations(graph: Graph, targets: ReadonlySet<Value>): Mutation[] {
  const found = new Map<Value, Mutation>();
  const roots = new Map<Value, readonly Value[]>();
  const rootsOf = (value: Value): readonly Value[] => roots.get(value) ?? (targets.has(value) ? [value] : []);
  const union = (values: readonly Value[]): readonly Value[] => {
    const [only] = values;
    return values.length === 1 && only !== undefined ? rootsOf(only) : [...new Set(values.flatMap(rootsOf))];
  };
  for (const node of allNodes(graph.block)) {
    const { schema } = node;
    if (schema === undefined) {
      if (node.kind.startsWith("prim::List") || node.kind.startsWith("prim::Tuple")) {
        const inner = union(node.inputs);
        if (inner.length > 0) for (const output of node.outputs) roots.set(output, inner);
      }
      continue;
    }
    schema.arguments.forEach((argument, i) => {
      if (argument.alias?.isWrite !== true) return;
      for (const target of rootsOf(node.input(i))) {
        if (!found.has(target)) found.set(target, { target, node });
      }
    });
    node.outputs.forEach((output, i) => {
      const sets = schema.returns[i]?.alias?.before;
      if (sets === undefined) return;
      const sources = node.inputs.filter((_, j) =>
        schema.arguments[j]?.alias?.before.some((set) => sets.includes(set)),
      );
      const inner = union(sources);
      if (inner.length > 0) roots.set(output, inner);
    });
  }
  return [...found.values()];
}

/** `model.py:12`, for messages. */
export function placeOf(range: SourceRange | undefined): { file: string; line?: number; text?: string } | undefined {
  if (range === undefined || range.file === "") return undefined;
  return { file: range.file, line: range.line, ...(range.text === undefined ? {} : { text: range.text }) };
}
