import { Names } from "../util/names.js";
import type { ExportedProgramJson } from "./schema.js";

interface TreeSpec {
  readonly type: string | null;
  readonly context: unknown;
  readonly children_spec: readonly TreeSpec[];
}

/**
 * Names for the flat outputs of a program: by the keys of dicts and the fields of dataclasses and named tuples where
 * there are any (`logits`, `boxes_0`), else `output_0`, `output_1`, ... Always `count` different names.
 */
export function outputNames(program: ExportedProgramJson, count: number): string[] {
  const root = program.graph_module.module_call_graph?.find((entry) => entry.fqn === "");
  const paths = leafPaths(root?.signature?.out_spec, program.graph_module.treespec_namedtuple_fields ?? {});
  const names = new Names("_", 1);
  return Array.from({ length: count }, (_, i) => {
    const path = paths?.length === count ? (paths[i] as string[]) : [];
    const hasNames = path.some((step) => !/^\d+$/.test(step));
    return names.unique(hasNames ? path.join("_").replace(/\W+/g, "_") : `output_${i}`);
  });
}

function leafPaths(
  text: string | undefined,
  namedTuples: NonNullable<ExportedProgramJson["graph_module"]["treespec_namedtuple_fields"]>,
): string[][] | undefined {
  if (text === undefined) return undefined;
  let spec: TreeSpec;
  try {
    [, spec] = JSON.parse(text) as [number, TreeSpec];
  } catch {
    return undefined;
  }
  const paths: string[][] = [];
  const visit = (node: TreeSpec, path: readonly string[]): void => {
    if (node.type === null) {
      paths.push([...path]);
      return;
    }
    const names = childNames(node, namedTuples);
    node.children_spec.forEach((child, i) => {
      visit(child, [...path, names?.[i] ?? String(i)]);
    });
  };
  visit(spec, []);
  return paths;
}

function childNames(
  node: TreeSpec,
  namedTuples: NonNullable<ExportedProgramJson["graph_module"]["treespec_namedtuple_fields"]>,
): string[] | undefined {
  let context: unknown = node.context;
  try {
    if (typeof context === "string") context = JSON.parse(context);
  } catch {
    // A named tuple's context is its class name as it is.
  }
  if (typeof context === "string") return [...(namedTuples[context]?.field_names ?? [])];
  // A dict's keys; a dataclass has a list of its fields and one of those that were None.
  const lists = Array.isArray(context) ? [context, ...context.filter(Array.isArray)] : [];
  const names = lists.find(
    (list) =>
      list.length === node.children_spec.length && list.every((name: unknown) => /string|number/.test(typeof name)),
  );
  return names?.map(String);
}
