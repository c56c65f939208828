import { type Constant, typeOfConstant } from "../ir/constant.js";
import { allNodes, constantOf, type Graph, type Node, type Value } from "../ir/graph.js";
import type { Type } from "../ir/type.js";
import { boolBefore, constantBefore, intBefore, replaceNode } from "./blocks.js";
import { sliceIndices } from "./evaluate.js";
import { isWritten } from "./fold-constants.js";
import { type ContainerRules, followContainers } from "./local-containers.js";

/**
 * Takes lists apart that the graph makes itself: `append`, `extend`, `insert`, `pop`, item assignment and the like are
 * done here, `len`, indexing, slicing and unpacking get the elements.
 */
export function flattenLists(graph: Graph): boolean {
  let changed = false;
  for (const node of allNodes(graph.block)) changed = unpackConstant(node) || changed;
  return followContainers(graph, LISTS) || changed;
}

/** A constant list that is written to becomes one that the graph makes; unpacking a constant gives constants. */
function unpackConstant(node: Node): boolean {
  if (node.kind === "prim::ListUnpack") {
    const items = constantOf(node.input());
    if (!Array.isArray(items) || items.length !== node.outputs.length) return false;
    replaceNode(
      node,
      items.map((item, i) => constantBefore(node, item, typeOfConstant(item, node.output(i).type))),
    );
    return true;
  }
  if (node.kind !== "prim::Constant") return false;
  const { type } = node.output();
  const value = node.attributes.get("value");
  if (type.kind !== "ListType" || !Array.isArray(value)) return false;
  if (!isWritten(node.output())) return false;
  const items = value.map((item: Constant) => constantBefore(node, item, typeOfConstant(item, type.element)));
  const list = node.graph.createNode("prim::ListConstruct", items, [type]).insertBefore(node);
  replaceNode(node, [list.output()]);
  return true;
}

interface List {
  items: Value[];
  readonly self: Value;
  readonly type: Type & { readonly kind: "ListType" };
}

const LISTS: ContainerRules<List> = {
  start(node) {
    const [self] = node.outputs;
    if (node.kind !== "prim::ListConstruct" || self?.type.kind !== "ListType") return undefined;
    return { items: [...node.inputs], self, type: self.type };
  },

  build(list, original) {
    return original.graph.createNode("prim::ListConstruct", list.items, [list.type]);
  },

  apply(list, node) {
    const { items, self } = list;
    // The list may also be the element that is put somewhere, or the second of two.
    if (node.inputs[0] !== self) return undefined;
    const at = (i: number): number | undefined => {
      const index = node.inputs[i] === undefined ? undefined : constantOf(node.inputs[i] as Value);
      return typeof index === "number" ? index : undefined;
    };
    const position = (i: number): number | undefined => {
      const index = at(i);
      if (index === undefined) return undefined;
      const positive = index < 0 ? index + items.length : index;
      return positive >= 0 && positive < items.length ? positive : undefined;
    };
    const whole = (contents: readonly Value[]): Value[] => [
      node.graph.createNode("prim::ListConstruct", contents, [list.type]).insertBefore(node).output(),
    ];
    const other = (): readonly Value[] | undefined => elementsOf(node.inputs[1] as Value, node);
    switch (node.kind) {
      case "prim::ListUnpack":
        return items.length === node.outputs.length ? [...items] : undefined;
      case "aten::len":
        return [intBefore(node, items.length)];
      case "aten::__getitem__": {
        const index = position(1);
        return index === undefined ? undefined : [items[index] as Value];
      }
      case "aten::slice": {
        const bounds = [1, 2, 3].map((i) =>
          node.inputs[i] === undefined ? null : constantOf(node.inputs[i] as Value),
        );
        const [start = null, end = null, step] = bounds;
        if (bounds.includes(undefined) || typeof (step ?? 1) !== "number") return undefined;
        const indices = sliceIndices(items.length, start as number | null, end as number | null, (step ?? 1) as number);
        return indices && whole(indices.map((i) => items[i] as Value));
      }
      case "aten::list":
      case "aten::copy":
        return whole(items);
      case "aten::add": {
        const rest = other();
        return rest && whole([...items, ...rest]);
      }
      case "aten::mul": {
        const times = at(1);
        return times === undefined ? undefined : whole(Array.from({ length: Math.max(times, 0) }, () => items).flat());
      }
      case "aten::Bool":
        return [boolBefore(node, items.length > 0)];
      case "aten::append":
        items.push(node.input(1));
        return [self];
      case "aten::extend":
      case "aten::add_": {
        const rest = other();
        if (rest === undefined) return undefined;
        items.push(...rest);
        return [self];
      }
      case "aten::insert": {
        const index = at(1);
        if (index === undefined) return undefined;
        items.splice(index, 0, node.input(2));
        return [];
      }
      case "aten::_set_item": {
        const index = position(1);
        if (index === undefined) return undefined;
        items[index] = node.input(2);
        return [self];
      }
      case "aten::pop": {
        const index = node.inputs.length === 1 ? items.length - 1 : position(1);
        const [popped] = index === undefined ? [] : items.splice(index, 1);
        return popped && [popped];
      }
      case "aten::Delete": {
        const index = position(1);
        if (index === undefined) return undefined;
        items.splice(index, 1);
        return [];
      }
      case "aten::clear":
        items.length = 0;
        return [];
      case "aten::reverse":
        items.reverse();
        return [];
      default:
        return undefined;
    }
  },
};

/** The elements of a list that nothing writes to. */
function elementsOf(value: Value, before: Node): readonly Value[] | undefined {
  const constant = constantOf(value);
  const { type } = value;
  if (Array.isArray(constant) && type.kind === "ListType") {
    return constant.map((item) => constantBefore(before, item, typeOfConstant(item, type.element)));
  }
  return value.node.kind !== "prim::ListConstruct" || isWritten(value) ? undefined : value.node.inputs;
}
