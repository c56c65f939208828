import {
  type Document,
  isAlias,
  isMap,
  isNode,
  isPair,
  isScalar,
  isSeq,
  type Node,
  type Pair,
  parseDocument,
  visit,
} from "yaml";
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
  const error = document.errors.map((problem): Diagnostic => {
    const [offset, end] = problem.pos;
    const span = { offset: Math.min(offset, source.text.length), length: Math.max(1, end - offset) };
    return { severity: "error", message: problem.message, source, span, hint: null };
  });
  if (error.length === 0) error.push(...checkReferences(document, source));
  if (error.length > 0) return { ok: false, error };

  const resolve = (node: unknown) => resolveIn(document, node);
  const findPair = (node: Node | null, key: string | number): Pair | null => {
    if (!isMap(node)) return null;
    const own = node.items.find((pair) => isScalar(pair.key) && String(pair.key.value) === String(key));
    if (own !== undefined) return own;
    for (const pair of node.items) {
      if (!isMerge(pair)) continue;
      const merged = resolve(pair.value);
      for (const map of isSeq(merged) ? merged.items.map(resolve) : [merged]) {
        const found = findPair(map, key);
        if (found !== null) return found;
      }
    }
    return null;
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

  // An alias shares what it names: any number of them costs nothing.
  return { ok: true, value: { source, value: document.toJS({ maxAliasCount: -1 }), locate } };
}

/** What yaml finds only when it makes data of a document, and then without a place. */
function checkReferences(document: Document, source: TextSource): Diagnostic[] {
  const diagnostics: Diagnostic[] = [];
  const report = (node: unknown, message: string, hint: string) => {
    diagnostics.push({ severity: "error", message, source, span: span(node) ?? { offset: 0, length: 1 }, hint });
  };
  visit(document, {
    Alias: (_, alias, path) => {
      const named = alias.resolve(document);
      if (named === undefined)
        report(alias, `there is no anchor &${alias.source} before this alias`, "an anchor stands above its aliases");
      else if (path.some((around) => around === named))
        report(alias, `the alias *${alias.source} stands inside of what it names`, "name something outside of it");
    },
    Pair: (_, pair) => {
      if (!isMerge(pair)) return;
      const merged = resolveIn(document, pair.value);
      const maps = isSeq(merged) ? merged.items : [pair.value];
      for (const map of maps) {
        // A wrong alias has its own message.
        if (isAlias(map) && map.resolve(document) === undefined) continue;
        if (!isMap(resolveIn(document, map)))
          report(map ?? pair.key, "<< merges keys with values, and these are none", "<<: *anchor");
      }
    },
  });
  return diagnostics;
}

function resolveIn(document: Document, node: unknown): Node | null {
  if (isAlias(node)) return node.resolve(document) ?? null;
  return isNode(node) ? node : null;
}

function isMerge({ key }: Pair): boolean {
  // yaml reads the merge key as a symbol.
  return isScalar(key) && (key.value === "<<" || typeof key.value === "symbol");
}

function span(node: unknown): Span | null {
  if (!isNode(node) || !node.range) return null;
  return { offset: node.range[0], length: Math.max(1, node.range[1] - node.range[0]) };
}
