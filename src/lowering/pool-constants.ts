import { Device } from "../ir/constant.js";
import { allNodes, type Graph, type Value } from "../ir/graph.js";
import { Tensor } from "../ir/tensor.js";
import { printType } from "../ir/type.js";
import { isMutable, mutatedTypes } from "./fold-constants.js";

/** Moves all constants to the front of the graph, those that hold the same as one. Tensors are the same by identity. */
export function poolConstants(graph: Graph): boolean {
  const mutable = mutatedTypes(graph);
  const pool = new Map<unknown, Value>();
  const constants = [...allNodes(graph.block)].filter((node) => node.kind === "prim::Constant");
  const anchor = graph.block.prependNode(graph.createNode("prim::Param"));
  for (const node of constants) {
    const output = node.output();
    if (!output.hasUses) {
      node.destroy();
      continue;
    }
    const value = node.attributes.get("value") ?? null;
    let key: unknown;
    if (node.attributes.has("name")) key = `name ${printType(output.type)} ${node.string("name")}`;
    else if (value === null) key = "None";
    else if (value instanceof Device) key = `Device ${value.name}`;
    else if (value instanceof Tensor || (typeof value === "object" && !isPlain(value))) key = value;
    else if (isMutable(output, mutable)) key = node;
    else key = `${printType(output.type)} ${text(value)}`;
    const known = pool.get(key);
    if (known !== undefined) {
      output.replaceAllUsesWith(known);
      node.destroy();
      continue;
    }
    pool.set(key, output);
    node.moveBefore(anchor);
  }
  anchor.destroy();
  return true;
}

function isPlain(value: unknown): boolean {
  return Array.isArray(value) && value.every((item) => typeof item !== "object" || item === null || isPlain(item));
}

function text(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(text).join()}]`;
  return typeof value === "string" ? JSON.stringify(value) : Object.is(value, -0) ? "-0" : String(value);
}
