import { allNodes, type Block, constantOf, type Graph, type Node, type Value } from "../ir/graph.js";
import { nodeError, printHead } from "../ir/printer.js";
import { operatorName } from "../ir/schema.js";
import { TensorType } from "../ir/type.js";
import { ancestorIn, isWithin } from "./blocks.js";
import { writtenInputs } from "./effects.js";
import { eliminateDeadCode } from "./eliminate-dead-code.js";
import { emit } from "./emit.js";
import { functionalResults } from "./functional-forms.js";
import type { LoweringReport } from "./report.js";
import { elementOf, isTensor, sharingOf, type View } from "./views.js";

/**
 * Replaces operators that write to tensors by those that make new ones, and what is used afterwards by what was
 * written: the tensor itself, the tensors that it is a view of (by PyTorch's `select_scatter`, `slice_scatter` and the
 * like) and every other view of these, which are taken anew. What a branch or a loop writes becomes a result of it.
 *
 * Throws `unsupported`, naming both nodes, where it depends on the run whether two values share memory that is written,
 * and where a write has no form without writing.
 */
export function functionalize(graph: Graph, report: LoweringReport): boolean {
  if (!writes(graph).next().value) return false;
  new Functionalizer(graph, report).run();
  return true;
}

/** Nodes that write to tensors. Writes to lists and dicts are none of this pass's business. */
function* writes(graph: Graph): Generator<Node> {
  for (const node of allNodes(graph.block)) if (targetsOf(node).length > 0) yield node;
}

function targetsOf(node: Node): Value[] {
  if (node.kind === "prim::SetAttr") return [];
  return writtenInputs(node)
    .map((i) => node.input(i))
    .filter((value) => isTensor(value.type));
}

/** Change what a tensor looks like and not what it holds. */
const RESHAPING: ReadonlySet<string> = new Set([
  "aten::squeeze_",
  "aten::unsqueeze_",
  "aten::transpose_",
  "aten::t_",
  "aten::swapaxes_",
  "aten::swapdims_",
  "aten::detach_",
  "aten::as_strided_",
]);

/** Memory that tensors share. */
class Storage {
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
}

interface Place {
  readonly storage: Storage;
  /** Absent for the base. */
  readonly view?: View;
}

/** What values hold at a place in the graph. Branches and loops have environments of their own, over the outer one's. */
class Environment {
  readonly #outer: Environment | undefined;
  readonly #versions = new Map<Storage, number>();
  readonly #current = new Map<Value, { readonly value: Value; readonly version: number }>();

  constructor(outer?: Environment) {
    this.#outer = outer;
  }

  version(storage: Storage): number {
    return this.#versions.get(storage) ?? this.#outer?.version(storage) ?? 0;
  }

  current(value: Value): { readonly value: Value; readonly version: number } | undefined {
    return this.#current.get(value) ?? this.#outer?.current(value);
  }

  set(value: Value, current: Value, storage: Storage, version: number): void {
    this.#versions.set(storage, version);
    this.#current.set(value, { value: current, version });
  }
}

class Functionalizer {
  readonly #graph: Graph;
  readonly #report: LoweringReport;
  readonly #places = new Map<Value, Place>();
  readonly #storages = new Set<Storage>();
  /** A node's first and last position in the order of the text. */
  readonly #from = new Map<Node, number>();
  readonly #to = new Map<Node, number>();
  /** What each writing node writes, and what containers were made of: by first names, which the walk replaces. */
  readonly #targets = new Map<Node, readonly Value[]>();
  readonly #contents = new Map<Node, readonly Value[]>();
  /** Tensors that went into containers which are not taken apart, and came out of such. */
  readonly #unknown: Storage;
  #version = 0;

  constructor(graph: Graph, report: LoweringReport) {
    this.#graph = graph;
    this.#report = report;
    this.#unknown = new Storage(graph.createNode("prim::Uninitialized", [], [TensorType]).output());
    this.#storages.add(this.#unknown);
  }

  run(): void {
    for (const node of writes(this.#graph)) this.#nameResults(node);
    // A carried value that the body only writes to in place is the same tensor all along.
    eliminateDeadCode(this.#graph);
    this.#number(this.#graph.block, 0);
    this.#locateAll(this.#graph.block);
    this.#linkLoops();
    const found = [...writes(this.#graph)];
    for (const node of found) {
      const targets = targetsOf(node);
      this.#targets.set(node, targets);
      for (const target of targets) this.#place(target).storage.isWritten = true;
    }
    for (const node of found) this.#check(node);
    this.#block(this.#graph.block, new Environment());
  }

  /** The result of an operator that writes is the tensor that it wrote. */
  #nameResults(node: Node): void {
    if (RESHAPING.has(node.kind)) {
      this.#reshape(node);
      return;
    }
    const { schema } = node;
    for (const [i, output] of node.outputs.entries()) {
      const sets = schema?.returns[i]?.alias?.before ?? [];
      const index = schema?.arguments.findIndex(
        ({ alias }) => alias?.isWrite === true && alias.before.some((set) => sets.includes(set)),
      );
      const target = index === undefined || index < 0 ? undefined : node.inputs[index];
      if (target !== undefined) output.replaceAllUsesWith(target);
    }
  }

  /** `x.unsqueeze_(0)` is a view from there on. */
  #reshape(node: Node): void {
    const target = node.input();
    const kind = node.kind.slice(0, -1);
    const result = emit(node, node, kind, node.inputs);
    const before = new Set<Node>();
    for (let at: Node | undefined = node; at !== undefined; at = at.previous) before.add(at);
    for (const use of [...target.uses]) {
      const at = ancestorIn(use.user, node.owningBlock as Block);
      if (at === undefined) {
        throw nodeError(
          "unsupported",
          node,
          "the shape of a tensor from outside this branch or loop is changed in place",
        );
      }
      if (!before.has(at) && use.user !== result.node) use.user.replaceInput(use.offset, result);
    }
    node.output().replaceAllUsesWith(result);
    this.#report.record("functionalize", node.kind, node);
    node.destroy();
  }

  #number(block: Block, start: number): number {
    let position = start;
    for (const node of block.nodes()) {
      this.#from.set(node, position++);
      for (const inner of node.blocks) position = this.#number(inner, position);
      this.#to.set(node, position++);
    }
    this.#from.set(block.returnNode, position);
    this.#to.set(block.returnNode, position++);
    return position;
  }

  #locateAll(block: Block): void {
    for (const input of block.inputs) this.#start(input);
    for (const node of block.nodes()) {
      for (const inner of node.blocks) this.#locateAll(inner);
      this.#locateOutputs(node);
    }
  }

  #locateOutputs(node: Node): void {
    if (node.kind === "prim::If") {
      for (const [i, output] of node.outputs.entries()) {
        const storage = this.#start(output);
        for (const block of node.blocks) this.#mayBe(storage, block.outputs[i]);
      }
      return;
    }
    const taken = elementTaken(node);
    if (taken !== undefined) {
      for (const [i, output] of node.outputs.entries()) this.#add(output, elementOf(taken.list, taken.index ?? i));
      return;
    }
    const sharing = node.outputs.length === 1 ? sharingOf(node) : undefined;
    if (sharing?.kind === "view" || sharing?.kind === "views") {
      this.#add(node.output(), sharing.view);
      return;
    }
    for (const output of node.outputs) {
      const storage = this.#start(output);
      if (sharing?.kind === "maybe") this.#mayBe(storage, sharing.source);
      else if (storage !== undefined && takesOut(node)) {
        const from = this.#places.get(node.input());
        storage.mayBe.add(from?.storage ?? this.#unknown);
      }
    }
    if (CONTAINERS.has(node.kind)) this.#contents.set(node, [...node.inputs]);
    if (!keeps(node)) return;
    for (const input of node.inputs) if (isTensor(input.type)) this.#place(input).storage.keepers.push(node);
    const container = CONTAINERS.has(node.kind) ? node.outputs[0] : node.inputs[0];
    if (container !== undefined) this.#unknown.members.push(container);
  }

  #start(value: Value): Storage | undefined {
    if (!isTensor(value.type)) return undefined;
    const storage = new Storage(value);
    storage.members.push(value);
    this.#storages.add(storage);
    this.#places.set(value, { storage });
    return storage;
  }

  #add(value: Value, view: View): void {
    const { storage } = this.#place(view.source);
    storage.members.push(value);
    this.#places.set(value, { storage, view });
  }

  #place(value: Value): Place {
    const known = this.#places.get(value);
    if (known !== undefined) return known;
    // Tensors of an Optional type and the like are met where they are used.
    const storage = new Storage(value);
    storage.members.push(value);
    this.#storages.add(storage);
    this.#places.set(value, { storage });
    return { storage };
  }

  #mayBe(storage: Storage | undefined, value: Value | undefined): void {
    if (storage !== undefined && value !== undefined && isTensor(value.type))
      storage.mayBe.add(this.#place(value).storage);
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
        this.#mayBe(inside, node.input(i + 2));
        this.#mayBe(outside, node.input(i + 2));
        this.#mayBe(outside, last);
        const lastStorage = this.#places.get(last)?.storage;
        if (lastStorage !== undefined && lastStorage !== inside) {
          const isFresh = isWithin(lastStorage.base.node.owningBlock, body) && lastStorage.base.node !== body.paramNode;
          if (!isFresh) inside?.mayBe.add(lastStorage);
        }
      }
    }
  }

  /** Throws where a tensor that may or may not share the written memory was made before and is used afterwards. */
  #check(write: Node): void {
    for (const target of this.#targets.get(write) ?? []) {
      const { storage } = this.#place(target);
      const roots = rootsOf(storage);
      if (storage.keepers.some((keeper) => this.#runsBefore(keeper, write, storage.base))) roots.add(this.#unknown);
      for (const other of this.#related(roots)) {
        if (other === storage) continue;
        for (const member of other.members) {
          const later = this.#useAfter(member, write);
          if (later === undefined) continue;
          throw nodeError(
            "unsupported",
            write,
            "it depends on the run whether this write in place is seen by a later node, so it cannot be compiled" +
              `:\n  ${printHead(later)}`,
            "Write `x = x.op(...)` instead of `x.op_(...)` in the model, or clone() the tensor first.",
          );
        }
      }
    }
  }

  /** Storages that may be one of `roots`. */
  #related(roots: ReadonlySet<Storage>): Set<Storage> {
    if (this.#inverse === undefined) {
      this.#inverse = new Map();
      for (const storage of this.#storages) {
        for (const root of rootsOf(storage)) {
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

  #inverse: Map<Storage, Storage[]> | undefined;

  #runsBefore(node: Node, write: Node, value: Value): boolean {
    return (this.#from.get(node) ?? 0) < (this.#from.get(write) ?? 0) || this.#comesAround(value, node, write);
  }

  /** A use of a value made before `write` that runs after it. */
  #useAfter(value: Value, write: Node): Node | undefined {
    const position = this.#from.get(write) as number;
    const isParam = value.node.kind === "prim::Param";
    if (!isParam && (this.#to.get(value.node) ?? -1) > position) return undefined;
    if (isParam && !isWithin(write.owningBlock, value.node.owningBlock as Block)) return undefined;
    for (const { user } of value.uses) {
      if (user === write) continue;
      const common = this.#meeting(user, write);
      const isLater = (this.#from.get(user) ?? 0) > position && common?.kind !== "prim::If";
      if (isLater || this.#comesAround(value, user, write)) return user;
    }
    return undefined;
  }

  /** The innermost node in different blocks of which two nodes stand: an If whose branches exclude each other. */
  #meeting(a: Node, b: Node): Node | undefined {
    for (let block = a.owningBlock; block !== undefined; block = block.owningNode?.owningBlock) {
      if (isWithin(b.owningBlock, block)) return undefined;
      const owner = block.owningNode;
      if (owner?.blocks.some((other) => other !== block && isWithin(b.owningBlock, other))) return owner;
    }
    return undefined;
  }

  /** Do both stand in a loop that the value comes from outside of? */
  #comesAround(value: Value, user: Node, write: Node): boolean {
    for (let block = write.owningBlock; block?.owningNode !== undefined; block = block.owningNode.owningBlock) {
      if (block.owningNode.kind !== "prim::Loop") continue;
      if (isWithin(user.owningBlock, block) && !isWithin(value.node.owningBlock, block)) return true;
    }
    return false;
  }

  #block(block: Block, environment: Environment): void {
    for (const node of block.nodes()) {
      for (const [i, input] of node.inputs.entries()) {
        const current = this.#current(input, environment, node);
        if (current !== input) node.replaceInput(i, current);
      }
      // The inputs name the tensors as they are now; the places know them by their first names.
      if (node.kind === "prim::If") this.#branch(node, environment);
      else if (node.kind === "prim::Loop") this.#loop(node, environment);
      else if (this.#targets.has(node)) this.#write(node, environment);
      for (const output of node.outputs) {
        const place = this.#places.get(output);
        if (place?.storage.isWritten === true) {
          environment.set(output, output, place.storage, environment.version(place.storage));
        }
      }
    }
    for (const [i, output] of block.outputs.entries()) {
      const current = this.#current(output, environment, block.returnNode);
      if (current !== output) block.returnNode.replaceInput(i, current);
    }
  }

  /** The value that holds now what `value` was made to show, taken anew in front of `before` if need be. */
  #current(value: Value, environment: Environment, before: Node): Value {
    const place = this.#places.get(value);
    if (place === undefined) return this.#renewContainer(value, environment, before);
    const { storage, view } = place;
    if (!storage.isWritten) return value;
    const known = environment.current(value) ?? { value, version: 0 };
    const version = environment.version(storage);
    if (known.version === version || view === undefined) return known.value;
    const renewed = view.rebuild(this.#current(view.source, environment, before), before);
    renewed.debugName = value.debugName;
    environment.set(value, renewed, storage, version);
    return renewed;
  }

  /** Lists and tuples hold tensors, not what these held when they were put in. */
  #renewContainer(value: Value, environment: Environment, before: Node): Value {
    const { node } = value;
    const inputs = this.#contents.get(node)?.map((input) => this.#current(input, environment, before));
    if (inputs === undefined) return value;
    if (inputs.every((input, i) => input === node.inputs[i])) return value;
    const renewed = node.graph.createNode(node.kind, inputs, [value.type]).insertBefore(before);
    renewed.sourceRange = node.sourceRange;
    return renewed.output();
  }

  #branch(node: Node, environment: Environment): void {
    const written = this.#writtenIn(node);
    const after = node.blocks.map((block) => {
      const inner = new Environment(environment);
      this.#block(block, inner);
      return inner;
    });
    for (const storage of written) {
      for (const [i, block] of node.blocks.entries()) {
        block.registerOutput(this.#current(storage.base, after[i] as Environment, block.returnNode));
      }
      environment.set(
        storage.base,
        node.addOutput(storage.base.type, storage.base.debugName),
        storage,
        ++this.#version,
      );
    }
  }

  #loop(node: Node, environment: Environment): void {
    const body = node.blocks[0] as Block;
    const written = this.#writtenIn(node);
    const inner = new Environment(environment);
    for (const storage of written) {
      node.addInput(this.#current(storage.base, environment, node));
      const input = body.addInput(storage.base.type, storage.base.debugName);
      inner.set(storage.base, input, storage, ++this.#version);
    }
    this.#block(body, inner);
    for (const storage of written) {
      body.registerOutput(this.#current(storage.base, inner, body.returnNode));
      environment.set(
        storage.base,
        node.addOutput(storage.base.type, storage.base.debugName),
        storage,
        ++this.#version,
      );
    }
  }

  /** Memory from outside a node that its blocks write to. */
  #writtenIn(node: Node): Set<Storage> {
    const found = new Set<Storage>();
    const [from, to] = [this.#from.get(node) as number, this.#to.get(node) as number];
    for (const [write, targets] of this.#targets) {
      const position = this.#from.get(write) as number;
      if (position < from || position > to) continue;
      for (const target of targets) {
        const { storage } = this.#place(target);
        const home = storage.base.node.owningBlock;
        if (!node.blocks.some((block) => isWithin(home, block))) found.add(storage);
      }
    }
    return found;
  }

  #write(node: Node, environment: Environment): void {
    const targets = this.#targets.get(node) as readonly Value[];
    const kind = node.schema === undefined ? node.kind : operatorName(node.schema);
    for (const target of targets) {
      const { base } = this.#place(target).storage;
      const isInput = base.node === this.#graph.block.paramNode;
      // The caller's tensor stays as it is: an engine writes to its outputs only.
      if (isInput) this.#report.record("functionalize", "write to an input", node, base.name);
    }
    this.#report.record("functionalize", kind, node);
    const results = functionalResults(node, targets.length);
    for (const [i, target] of targets.entries()) this.#assign(target, results[i] as Value, node, environment);
    node.destroy();
  }

  /** From now on `target` holds `result`, and so do the tensors that it is a view of. */
  #assign(target: Value, result: Value, node: Node, environment: Environment): void {
    const { storage } = this.#place(target);
    const version = ++this.#version;
    result.debugName = target.debugName;
    const changed: [Value, Value][] = [[target, result]];
    let part = result;
    let at = target;
    for (let view = this.#place(at).view; view !== undefined; view = this.#place(at).view) {
      if (view.write === undefined) {
        throw nodeError(
          "unsupported",
          node,
          `a write through this view has no form without writing:\n  ${printHead(at.node)}`,
          "clone() the view in the model before it is written to.",
        );
      }
      part = view.write(this.#current(view.source, environment, node), part, node);
      at = view.source;
      part.debugName ??= at.debugName;
      changed.push([at, part]);
    }
    for (const [value, current] of changed) environment.set(value, current, storage, version);
  }
}

const CONTAINERS: ReadonlySet<string> = new Set(["prim::ListConstruct", "prim::TupleConstruct", "prim::DictConstruct"]);

/** A node that takes one of the views that `unbind` and the like give. */
function elementTaken(node: Node): { readonly list: Node; readonly index?: number } | undefined {
  const list = node.inputs[0]?.node;
  if (list === undefined || sharingOf(list)?.kind !== "views") return undefined;
  if (node.kind === "prim::ListUnpack") return { list };
  if (node.kind !== "aten::__getitem__") return undefined;
  const index = constantOf(node.input(1));
  const isKnown = typeof index === "number" && (index >= 0 || list.kind === "aten::unbind");
  return isKnown ? { list, index } : undefined;
}

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

function rootsOf(storage: Storage, roots: Set<Storage> = new Set()): Set<Storage> {
  if (roots.has(storage)) return roots;
  roots.add(storage);
  for (const other of storage.mayBe) rootsOf(other, roots);
  return roots;
}
