import { allNodes, type Graph, type Node, type Value } from "../ir/graph.js";
import { writtenInputs } from "../lowering/effects.js";
import { Storages } from "../lowering/storages.js";
import { isTensor, knownOf } from "../lowering/views.js";

/** A tensor that lives on after the call, and the operator that writes to it. */
export interface Mutation {
  readonly target: Value;
  readonly node: Node;
}

/**
 * Which of `targets` (buffers, inputs) the graph's in-place operators write to, or may write to, through views too: the
 * first write to each.
 */
export function findMutations(graph: Graph, targets: ReadonlySet<Value>): Mutation[] {
  const writes = [...allNodes(graph.block)].filter((node) => writtenInputs(node).length > 0);
  if (writes.length === 0) return [];
  const storages = new Storages(graph, knownOf(graph));
  const found = new Map<Value, Mutation>();
  for (const node of writes) {
    const written = writtenInputs(node).map((i) => node.input(i));
    for (const tensor of written.flatMap(tensorsOf)) {
      for (const { base: target } of storages.place(tensor).storage.roots()) {
        if (targets.has(target) && !found.has(target)) found.set(target, { target, node });
      }
    }
  }
  return [...found.values()];
}

/** `aten::_foreach_add_` writes to the elements of a list. */
function tensorsOf(value: Value): readonly Value[] {
  const elements = value.node.kind === "prim::ListConstruct" ? value.node.inputs : [value];
  return elements.filter(({ type }) => isTensor(type));
}
