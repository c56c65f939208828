import { typeOfConstant } from "../ir/constant.js";
import { allNodes, constantOf, type Graph, type Node, type Value } from "../ir/graph.js";
import { ListType, TupleType, type Type } from "../ir/type.js";
import { boolBefore, constantBefore, intBefore, replaceNode } from "./blocks.js";
import { isWritten } from "./fold-constants.js";
import { type ContainerRules, followContainers } from "./local-containers.js";

/** Takes dicts apart that the graph makes itself and whose keys are constants. They keep the order of insertion. */
export function flattenDicts(graph: Graph): boolean {
  let changed = false;
  for (const node of allNodes(graph.block)) changed = fromPairs(node) || changed;
  return followContainers(graph, DICTS) || changed;
}

/** `dict([(k, v), ...])` */
function fromPairs(node: Node): boolean {
  if (node.kind !== "aten::dict" || node.inputs.length > 1 || node.output().type.kind !== "DictType") return false;
  const items = node.inputs.length === 0 ? [] : pairs(node.input());
  if (items === undefined) return false;
  const dict = node.graph.createNode("prim::DictConstruct", items.flat(), [node.output().type]).insertBefore(node);
  replaceNode(node, [dict.output()]);
  return true;
}

function pairs(list: Value): Value[][] | undefined {
  if (list.node.kind !== "prim::ListConstruct") return undefined;
  const all = list.node.inputs.map(({ node }) =>
    node.kind === "prim::TupleConstruct" && node.inputs.length === 2 ? [...node.inputs] : undefined,
  );
  return all.every((pair) => pair !== undefined) ? all : undefined;
}

type Key = string | number | boolean;

interface Dict {
  readonly entries: Map<Key, { readonly key: Value; readonly value: Value }>;
  readonly self: Value;
  readonly type: Type & { readonly kind: "DictType" };
}

function keyOf(value: Value | undefined): Key | undefined {
  const key = value === undefined ? undefined : constantOf(value);
  return typeof key === "string" || typeof key === "number" || typeof key === "boolean" ? key : undefined;
}

const DICTS: ContainerRules<Dict> = {
  start(node) {
    const [self] = node.outputs;
    if (node.kind !== "prim::DictConstruct" || self?.type.kind !== "DictType") return undefined;
    const entries: Dict["entries"] = new Map();
    for (let i = 0; i + 1 < node.inputs.length; i += 2) {
      const key = keyOf(node.inputs[i]);
      if (key === undefined) return undefined;
      entries.set(key, { key: node.input(i), value: node.input(i + 1) });
    }
    return { entries, self, type: self.type };
  },

  build(dict, original) {
    const inputs = [...dict.entries.values()].flatMap(({ key, value }) => [key, value]);
    return original.graph.createNode("prim::DictConstruct", inputs, [dict.type]);
  },

  apply({ entries, self, type }, node) {
    if (node.inputs[0] !== self) return undefined;
    const key = keyOf(node.inputs[1]);
    const list = (items: readonly Value[], element: Type): Value[] => [
      node.graph
        .createNode("prim::ListConstruct", items, [ListType(element)])
        .insertBefore(node)
        .output(),
    ];
    const all = [...entries.values()];
    switch (node.kind) {
      case "aten::len":
        return [intBefore(node, entries.size)];
      case "aten::keys":
        return list(
          all.map((entry) => entry.key),
          type.key,
        );
      case "aten::values":
        return list(
          all.map((entry) => entry.value),
          type.value,
        );
      case "aten::items": {
        const pair = TupleType([type.key, type.value]);
        return list(
          all.map((entry) =>
            node.graph.createNode("prim::TupleConstruct", [entry.key, entry.value], [pair]).insertBefore(node).output(),
          ),
          pair,
        );
      }
      case "aten::copy":
      case "aten::dict":
        return [DICTS.build?.({ entries, self, type }, node).insertBefore(node).output() as Value];
      case "aten::__contains__":
        return key === undefined ? undefined : [boolBefore(node, entries.has(key))];
      case "aten::__getitem__": {
        const entry = key === undefined ? undefined : entries.get(key);
        return entry && [entry.value];
      }
      case "aten::get": {
        if (key === undefined) return undefined;
        const entry = entries.get(key);
        return entry !== undefined ? [entry.value] : node.inputs[2] && [node.inputs[2]];
      }
      case "aten::_set_item": {
        const value = node.inputs[2];
        if (key === undefined || value === undefined) return undefined;
        entries.set(key, { key: entries.get(key)?.key ?? node.input(1), value });
        return [];
      }
      case "aten::pop": {
        const entry = key === undefined ? undefined : entries.get(key);
        if (key === undefined || entry === undefined) return undefined;
        entries.delete(key);
        return [entry.value];
      }
      case "aten::Delete":
        return key !== undefined && entries.delete(key) ? [] : undefined;
      case "aten::update": {
        const other = node.inputs[1] && entriesOf(node.inputs[1], node);
        if (other === undefined) return undefined;
        for (const [name, entry] of other) entries.set(name, { ...entry, key: entries.get(name)?.key ?? entry.key });
        return [];
      }
      case "aten::clear":
        entries.clear();
        return [];
      default:
        return undefined;
    }
  },
};

/** The entries of a dict that nothing writes to. */
function entriesOf(value: Value, before: Node): Dict["entries"] | undefined {
  const { type } = value;
  const constant = constantOf(value);
  if (constant instanceof Map && type.kind === "DictType") {
    const entries: Dict["entries"] = new Map();
    for (const [key, item] of constant) {
      const made = constantBefore(before, item, typeOfConstant(item, type.value));
      entries.set(key, { key: constantBefore(before, key, type.key), value: made });
    }
    return entries;
  }
  return isWritten(value) ? undefined : DICTS.start(value.node)?.entries;
}
