import { allNodes, type Block, constantOf, type Graph, type Node, type Value } from "../ir/graph.js";
import { isWithin } from "./blocks.js";
import { writtenInputs } from "./effects.js";
import { elementOf, isTensor, type Known, sharingOf, type View } from "./views.js";

/** Memory that tensors share. */
export class Storage {
  /** The tensor that shows all of it. */
  readonly base: Value;
  readonly members: Value[] = [];
  /** What it may be at run time: itself, or one of these. */
  readonly mayBe = new Set<Storage>();
  /** Nodes that put one of the members into a container which is not taken apart. */
  readonly keepers: Node[] = [];
  isWritten = false;

  constructor(base: Value) {
    this.base = base;
  }

  /** All that it may be at run time, itself included. */
  roots(): Set<Storage> {
    const roots = new Set<Storage>([this]);
    // A set takes in what is added while it is walked.
    for (const root of roots) for (const other of root.mayBe) roots.add(other);
    return roots;
  }
}

export interface Place {
  readonly storage: Storage;
  /** Absent for the base. */
  readonly view?: View;
}

/** Which tensors of a graph share memory, for certain or perhaps. */
export class Storages {
  readonly #graph: Graph;
  readonly #known: Known;
  readonly #places = new Map<Value, Place>();
  readonly #all = new Set<Storage>();
  #inverse: Map<Storage, Storage[]> | undefined;
  /** Tensors that went into containers which are not taken apart, and came out of such. */
  readonly unknown: Storage;
  /** What containers were made of. */
  readonly contents = new Map<Node, readonly Value[]>();

  constructor(graph: Graph, known: Known) {
    this.#graph = graph;
    this.#known = known;
    this.unknown = new Storage(graph.createNode("prim::Uninitialized", [], [{ kind: "TensorType" }]).output());
    this.#all.add(this.unknown);
    this.#locateAll(graph.block);
    this.#linkLoops();
  }

  /** Where a value was found to be; undefined for what is no tensor, or was added to the graph later. */
  find(value: Value): Place | undefined {
    return this.#places.get(value);
  }

  /** Where a tensor is. Tensors of an Optional type and the like are met where they are used. */
  place(tensor: Value): Place {
    return this.#places.get(tensor) ?? this.#start(tensor);
  }

  /** Storages that may be one of `roots`. */
  related(roots: ReadonlySet<Storage>): Set<Storage> {
    if (this.#inverse === undefined) {
      this.#inverse = new Map();
      for (const storage of this.#all) {
        for (const root of storage.roots()) {
          const others = this.#inverse.get(root) ?? [];
          others.push(storage);
          this.#inverse.set(root, others);
        }
      }
    }
    const related = new Set<Storage>();
    for (const root of roots) for (const storage of this.#inverse.get(root) ?? []) related.add(storage);
    return related;
  }

  #locateAll(block: Block): void {
    for (const input of block.inputs) if (isTensor(input.type)) this.#start(input);
    for (const node of block.nodes()) {
      for (const inner of node.blocks) this.#locateAll(inner);
      this.#locateOutputs(node);
    }
  }

  #locateOutputs(node: Node): void {
    if (node.kind === "prim::If") {
      for (const [i, output] of node.outputs.entries()) {
        if (!isTensor(output.type)) continue;
        const { storage } = this.#start(output);
        for (const block of node.blocks) this.#mayBe(storage, block.outputs[i]);
      }
      return;
    }
    const taken = this.#elementTaken(node);
    if (taken !== undefined) {
      for (const [i, output] of node.outputs.entries()) this.#add(output, elementOf(taken.list, taken.index ?? i));
      return;
    }
    const sharing = node.outputs.length === 1 ? sharingOf(node, this.#known) : undefined;
    if (sharing?.kind === "view" || sharing?.kind === "views") {
      this.#add(node.output(), sharing.view);
      return;
    }
    for (const [i, output] of node.outputs.entries()) {
      const written = writtenFor(node, i);
      if (written !== undefined && isTensor(written.type)) {
        this.#places.set(output, this.place(written));
        continue;
      }
      if (!isTensor(output.type)) continue;
      const { storage } = this.#start(output);
      if (sharing?.kind === "maybe") this.#mayBe(storage, sharing.source);
      else if (takesOut(node)) storage.mayBe.add(this.#places.get(node.input())?.storage ?? this.unknown);
    }
    if (CONTAINERS.has(node.kind)) this.contents.set(node, [...node.inputs]);
    if (!keeps(node)) return;
    for (const input of node.inputs) if (isTensor(input.type)) this.place(input).storage.keepers.push(node);
    const container = CONTAINERS.has(node.kind) ? node.outputs[0] : node.inputs[0];
    if (container !== undefined) this.unknown.members.push(container);
  }

  #start(value: Value): Place {
    const place: Place = { storage: new Storage(value) };
    place.storage.members.push(value);
    this.#all.add(place.storage);
    this.#places.set(value, place);
    return place;
  }

  #add(value: Value, view: View): void {
    const { storage } = this.place(view.source);
    storage.members.push(value);
    this.#places.set(value, { storage, view });
  }

  #mayBe(storage: Storage, value: Value | undefined): void {
    if (value !== undefined && isTensor(value.type)) storage.mayBe.add(this.place(value).storage);
  }

  /** A carried value is what goes into the loop, or what the body's last run gave, if that is from outside the body. */
  #linkLoops(): void {
    for (const node of allNodes(this.#graph.block)) {
      if (node.kind !== "prim::Loop") continue;
      const body = node.blocks[0] as Block;
      for (const [i, output] of node.outputs.entries()) {
        const inside = this.#places.get(body.inputs[i + 1] as Value)?.storage;
        const outside = this.#places.get(output)?.storage;
        const last = body.outputs[i + 1] as Value;
        if (inside !== undefined) this.#mayBe(inside, node.input(i + 2));
        if (outside !== undefined) for (const value of [node.input(i + 2), last]) this.#mayBe(outside, value);
        const lastStorage = this.#places.get(last)?.storage;
        if (lastStorage !== undefined && lastStorage !== inside) {
          const isFresh = isWithin(lastStorage.base.node.owningBlock, body) && lastStorage.base.node !== body.paramNode;
          if (!isFresh) inside?.mayBe.add(lastStorage);
        }
      }
    }
  }

  /** A node that takes one of the views that `unbind` and the like give. */
  #elementTaken(node: Node): { readonly list: Node; readonly index?: number } | undefined {
    if (node.kind !== "prim::ListUnpack" && node.kind !== "aten::__getitem__") return undefined;
    const list = node.inputs[0]?.node;
    if (list === undefined || sharingOf(list, this.#known)?.kind !== "views") return undefined;
    if (node.kind === "prim::ListUnpack") return { list };
    const index = constantOf(node.input(1));
    const isKnown = typeof index === "number" && (index >= 0 || list.kind === "aten::unbind");
    return isKnown ? { list, index } : undefined;
  }
}

/** The input that an operator writes to and gives as its `i`th output. */
export function writtenFor({ schema, inputs }: Node, i: number): Value | undefined {
  const sets = schema?.returns[i]?.alias?.before ?? [];
  const index = schema?.arguments.findIndex(
    ({ alias }) => alias?.isWrite === true && alias.before.some((set) => sets.includes(set)),
  );
  return index === undefined || index < 0 ? undefined : inputs[index];
}

const CONTAINERS: ReadonlySet<string> = new Set(["prim::ListConstruct", "prim::TupleConstruct", "prim::DictConstruct"]);

/** Does the node give tensors out of a container? */
function takesOut(node: Node): boolean {
  const kind = node.inputs[0]?.type.kind;
  return kind === "ListType" || kind === "DictType" || kind === "TupleType" || kind === "ClassType"
    ? node.schema === undefined || node.schema.returns.some(({ alias }) => alias !== undefined)
    : false;
}

/** Does the node put its inputs where they may be taken out of again by somebody who is not in sight? */
function keeps(node: Node): boolean {
  if (CONTAINERS.has(node.kind)) return isOpaque(node.output());
  return (
    node.kind === "prim::SetAttr" || node.schema?.arguments.some(({ alias }) => alias?.after.includes("*")) === true
  );
}

function isOpaque(container: Value): boolean {
  for (const { user, offset } of container.uses) {
    if (user.kind === "prim::Loop" || user.kind === "prim::SetAttr") return true;
    if (user.kind === "prim::Return" && user.owningBlock?.owningNode !== undefined) return true;
    if (writtenInputs(user).includes(offset)) return true;
    if (CONTAINERS.has(user.kind) && isOpaque(user.output())) return true;
    if (user.kind.startsWith("prim::Call") || user.kind === "prim::GetAttr") return true;
  }
  return false;
}
