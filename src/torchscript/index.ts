import { type Constant, ObjectValue, TupleValue } from "../ir/constant.js";
import type { Graph, SourceRange } from "../ir/graph.js";
import type { Program } from "../ir/module.js";
import { TrtorchError } from "../util/errors.js";
import { Archive } from "./archive.js";
import { DebugRanges } from "./debug-ranges.js";
import { importFunction } from "./importer.js";
import { unpickle } from "./pickle.js";
import { readPlainPickle } from "./plain-pickle.js";
import { restoreObjects } from "./restore.js";
import { Source } from "./source.js";
import { CompilationUnit, type FunctionInfo } from "./unit.js";

/**
 * Reads a TorchScript archive (`torch.jit.save`). Its tensors are views of the mapped file; code files are parsed and
 * methods compiled when they are first asked for. Throws a TrtorchError of code `archive` or `parse`.
 */
export function loadTorchScript(path: string): Program {
  return new TorchScriptProgram(Archive.open(path));
}

/** {@link loadTorchScript} of an archive that is open already. */
export function readTorchScript(archive: Archive): Program {
  return new TorchScriptProgram(archive);
}

class TorchScriptProgram implements Program {
  readonly file: string;
  readonly format = "torchscript";
  readonly typeName: string;
  readonly root: ObjectValue;
  readonly #archive: Archive;
  readonly #unit: CompilationUnit;
  readonly #graphs = new Map<string, Graph>();
  readonly #ranges = new Map<Source, DebugRanges | undefined>();
  #attributeTypes: Map<string, Set<string>> | undefined;

  constructor(archive: Archive) {
    this.#archive = archive;
    this.file = archive.file;
    if (archive.kind !== "torchscript") {
      throw new TrtorchError("archive", "this is no TorchScript archive", { location: { file: archive.file } });
    }
    const root = unpickle(archive, "data.pkl");
    if (!(root instanceof ObjectValue)) {
      throw new TrtorchError("archive", "data.pkl holds no module", { location: { file: archive.file } });
    }
    this.root = root;
    this.typeName = root.typeName;
    const constants = archive.has("constants.pkl") ? unpickle(archive, "constants.pkl") : new TupleValue([]);
    this.#unit = new CompilationUnit(
      (file) => (archive.has(file) ? new Source(file, archive.read(file)) : undefined),
      constants instanceof TupleValue ? constants.elements : [],
      archive.version,
      (className, attribute) => this.#concreteType(className, attribute),
    );
    restoreObjects(root, this.#unit, (info) => this.#graph(info));
  }

  get methodNames(): readonly string[] {
    return [...(this.#unit.findClass(this.typeName)?.methods.keys() ?? [])];
  }

  method(typeName: string, name: string): Graph {
    const info = this.#unit.findClass(typeName);
    const method = info?.methods.get(name);
    if (method === undefined) {
      throw new TrtorchError("archive", `${typeName} has no method '${name}'`, {
        location: { file: this.file },
        hint:
          info === undefined
            ? "The archive holds no code of that class."
            : `It has ${[...info.methods.keys()].map((known) => `'${known}'`).join(", ") || "no methods"}.`,
      });
    }
    return this.#graph(method);
  }

  function(qualifiedName: string): Graph {
    const info = this.#unit.find(qualifiedName);
    if (info?.kind !== "function") {
      throw new TrtorchError("archive", `the archive holds no function ${qualifiedName}`, {
        location: { file: this.file },
      });
    }
    return this.#graph(info);
  }

  inputs(): undefined {
    return undefined;
  }

  #graph(info: FunctionInfo): Graph {
    let graph = this.#graphs.get(info.qualifiedName);
    if (graph === undefined) {
      graph = importFunction(this.#unit, info, (source, offset) => this.#range(source, offset));
      this.#graphs.set(info.qualifiedName, graph);
    }
    return graph;
  }

  #range(source: Source, offset: number): SourceRange {
    if (!this.#ranges.has(source)) {
      const name = `${source.file}.debug_pkl`;
      const record = this.#archive.has(name) ? readPlainPickle(this.#archive.read(name)) : undefined;
      this.#ranges.set(source, record === undefined ? undefined : new DebugRanges(record));
    }
    const found = this.#ranges.get(source)?.find(offset);
    if (found !== undefined) return found;
    const { file, line, text } = source.location(offset);
    return { file, line, text };
  }

  /** The class of all objects that an attribute of a class holds, where it is one. */
  #concreteType(className: string, attribute: string): string | undefined {
    if (this.#attributeTypes === undefined) {
      this.#attributeTypes = new Map();
      collectTypes(this.root, this.#attributeTypes, new Set());
    }
    const types = this.#attributeTypes.get(`${className}.${attribute}`);
    const [type] = types ?? [];
    return types?.size === 1 ? type : undefined;
  }
}

function collectTypes(value: Constant, into: Map<string, Set<string>>, seen: Set<Constant>): void {
  if (value === null || typeof value !== "object" || seen.has(value)) return;
  seen.add(value);
  if (value instanceof ObjectValue) {
    for (const [name, attribute] of value.attributes) {
      if (attribute instanceof ObjectValue) {
        const key = `${value.typeName}.${name}`;
        const types = into.get(key);
        if (types === undefined) into.set(key, new Set([attribute.typeName]));
        else types.add(attribute.typeName);
      }
      collectTypes(attribute, into, seen);
    }
  } else if (value instanceof TupleValue) for (const element of value.elements) collectTypes(element, into, seen);
  else if (Array.isArray(value)) for (const element of value) collectTypes(element, into, seen);
  else if (value instanceof Map) for (const element of value.values()) collectTypes(element, into, seen);
}
