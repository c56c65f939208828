import { isAlias, isMap, isNode, isPair, isScalar, isSeq, type Node, type Pair, parseDocument } from "yaml";
import type { Diagnostic, Result, Span, TextSource } from "./diagnostic.js";

export type Path = readonly (string | number)[];

/** A config as plain data, and where each part of it stands. */
export interface ConfigDocument {
  readonly source: TextSource;
  readonly value: unknown;
  /**
   * Where a value stands, or with `key` its key. What is not there is shown at the nearest thing around it that is.
   */
  locate(path: Path, part?: "key" | "value"): Span;
}

/** Reads YAML; all its syntax errors come at once. */
export function parseYaml(source: TextSource): Result<ConfigDocument, Diagnostic[]> {
  const document = parseDocument(source.text, { merge: true, prettyErrors: false });
  if (document.errors.length > 0) {
    const error = document.errors.map((problem): Diagnostic => {
      const [offset, end] = problem.pos;
      const span = { offset: Math.min(offset, source.text.length), length: Math.max(1, end - offset) };
      return { severity: "error", message: problem.message, source, span, hint: null };
    });
    return { ok: false, error };
  }

  const resolve = (node: unknown): Node | null => {
    if (isAlias(node)) return node.resolve(document) ?? null;
    return isNode(node) ? node : null;
  };
  const findPair = (node: Node | null, key: string | number): Pair | null => {
    if (!isMap(node)) return null;
    const own = node.items.find((pair) => isScalar(pair.key) && String(pair.key.value) === String(key));
    if (own !== undefined) return own;
    for (const pair of node.items) {
      // yaml reads the merge key as a symbol.
      if (!isScalar(pair.key) || (pair.key.value !== "<<" && typeof pair.key.value !== "symbol")) continue;
      const merged = resolve(pair.value);
      for (const map of isSeq(merged) ? merged.items.map(resolve) : [merged]) {
        const found = findPair(map, key);
        if (found !== null) return found;
      }
    }
    return null;
  };
  const span = (node: unknown): Span | null => {
    if (!isNode(node) || !node.range) return null;
    return { offset: node.range[0], length: Math.max(1, node.range[1] - node.range[0]) };
  };

  const locate = (path: Path, part: "key" | "value" = "value"): Span => {
    let node = resolve(document.contents);
    let best: Span = { offset: 0, length: 1 };
    for (const [index, step] of path.entries()) {
      const found = isSeq(node) ? node.items[Number(step)] : findPair(node, step);
      if (found === undefined || found === null) return best;
      const pair = isPair(found) ? found : null;
      const value = pair === null ? found : pair.value;
      const wantsKey = part === "key" && index === path.length - 1;
      best = (wantsKey ? span(pair?.key) : (span(value) ?? span(pair?.key))) ?? best;
      // Around something missing, the key of a block is a better place than its whole content.
      if (index < path.length - 1 && pair !== null) best = span(pair.key) ?? best;
      node = resolve(value);
    }
    return best;
  };

  return { ok: true, value: { source, value: document.toJS(), locate } };
}
