import type { Graph, Node, Value } from "../ir/graph.js";
import { type ContainerRules, followContainers } from "./local-containers.js";

/** Takes objects apart that the method makes itself (`prim::CreateObject`): what is read is what was last written. */
export function flattenObjects(graph: Graph): boolean {
  return followContainers(graph, OBJECTS);
}

interface Fields {
  readonly values: Map<string, Value>;
  readonly self: Value;
}

const OBJECTS: ContainerRules<Fields> = {
  start(node) {
    if (node.kind !== "prim::CreateObject" || !isPlain(node)) return undefined;
    return { values: new Map(), self: node.output() };
  },

  apply({ values, self }, node) {
    if (node.inputs[0] !== self) return undefined;
    const name = node.string("name");
    if (node.kind === "prim::GetAttr") {
      const value = values.get(name);
      return value && [value];
    }
    values.set(name, node.input(1));
    return [];
  },
};

/** An object cannot be made anew half-way, so all of its uses must be understood beforehand. */
function isPlain(node: Node): boolean {
  const written = new Set<string>();
  const read: string[] = [];
  for (const { user, offset } of node.output().uses) {
    if (offset !== 0) return false;
    if (user.kind === "prim::SetAttr" && user.owningBlock === node.owningBlock) written.add(user.string("name"));
    else if (user.kind === "prim::GetAttr") read.push(user.string("name"));
    else return false;
  }
  return read.every((name) => written.has(name));
}
