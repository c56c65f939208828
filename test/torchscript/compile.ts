import type { Constant } from "../../src/ir/constant.js";
import { allNodes, type Graph } from "../../src/ir/graph.js";
import { operatorName } from "../../src/ir/schema.js";
import { importFunction } from "../../src/torchscript/importer.js";
import { Source } from "../../src/torchscript/source.js";
import { CompilationUnit } from "../../src/torchscript/unit.js";

/** A compilation unit of the files given by their path under `code/`. */
export function unitOf(
  files: Readonly<Record<string, string>>,
  options: { readonly version?: number; readonly constants?: readonly Constant[] } = {},
): CompilationUnit {
  const read = (file: string): Source | undefined => {
    const text = files[file.replace(/^code\//, "")];
    return text === undefined ? undefined : Source.fromText(file, text);
  };
  return new CompilationUnit(read, options.constants ?? [], options.version ?? 10);
}

/** The graph of a function, or of a method written `C.forward`, of the file `__torch__.py`. */
export function compile(text: string, name = "f", options: Parameters<typeof unitOf>[1] = {}): Graph {
  const unit = unitOf({ "__torch__.py": text }, options);
  const [first = "", method] = name.split(".");
  const found = unit.find(`__torch__.${first}`);
  const info = found?.kind === "class" ? found.methods.get(method ?? "") : found;
  if (info === undefined || info.kind !== "function") throw new Error(`there is no ${name}`);
  return importFunction(unit, info, (source, offset) => source.location(offset));
}

/** The operators of a graph in order, with their overloads, without constants. */
export function operators(graph: Graph): string[] {
  return [...allNodes(graph.block)]
    .filter((node) => node.kind !== "prim::Constant")
    .map((node) => (node.schema === undefined ? node.kind : operatorName(node.schema)));
}
