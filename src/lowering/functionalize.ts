import { allNodes, type Block, type Graph, type Node, type Value } from "../ir/graph.js";
import { nodeError, printHead } from "../ir/printer.js";
import { operatorName } from "../ir/schema.js";
import { ancestorIn, isWithin } from "./blocks.js";
import { Dtypes } from "./dtypes.js";
import { doubtfulInputs, writtenInputs } from "./effects.js";
import { eliminateDeadCode } from "./eliminate-dead-code.js";
import { emit } from "./emit.js";
import { functionalResults } from "./functional-forms.js";
import type { LoweringReport } from "./report.js";
import type { StateWrites } from "./state-writes.js";
import { type Storage, Storages, writtenFor } from "./storages.js";
import { isTensor, knownOf } from "./views.js";

/**
 * Replaces operators that write to tensors by those that make new ones, and what is used afterwards by what was
 * written: the tensor itself, the tensors that it is a view of (by PyTorch's `select_scatter`, `slice_scatter` and the
 * like) and every other view of these, which are taken anew. What a branch or a loop writes becomes a result of it.
 *
 * Throws `unsupported`, naming both nodes, where it depends on the run whether two values share memory that is written,
 * where a write has no form without writing, and where an operator that nobody knows may have written what is used. `state`
 * is told of writes to inputs and constants.
 */
export function functionalize(graph: Graph, report: LoweringReport, state?: StateWrites): boolean {
  const hasWrites = !writes(graph).next().done;
  if (!hasWrites && [...allNodes(graph.block)].every((node) => doubtfulInputs(node).length === 0)) return false;
  new Functionalizer(graph, report, state).run();
  return hasWrites;
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
  readonly #state: StateWrites | undefined;
  readonly #dtypes = new Dtypes();
  /** A node's first and last position in the order of the text. */
  readonly #from = new Map<Node, number>();
  readonly #to = new Map<Node, number>();
  /** What each writing node writes: by first names, which the walk replaces. */
  readonly #targets = new Map<Node, readonly Value[]>();
  readonly #storages: Storages;
  #version = 0;

  constructor(graph: Graph, report: LoweringReport, state: StateWrites | undefined) {
    this.#graph = graph;
    this.#report = report;
    this.#state = state;
    for (const node of writes(graph)) this.#nameResults(node);
    // A carried value that the body only writes to in place is the same tensor all along.
    eliminateDeadCode(graph);
    this.#storages = new Storages(graph, knownOf(graph, this.#dtypes));
  }

  run(): void {
    this.#number(this.#graph.block, 0);
    const found = [...writes(this.#graph)];
    for (const node of found) {
      const targets = targetsOf(node);
      this.#targets.set(node, targets);
      for (const target of targets) this.#storages.place(target).storage.isWritten = true;
    }
    for (const node of found) this.#check(node);
    for (const node of allNodes(this.#graph.block)) this.#checkUnknown(node);
    this.#block(this.#graph.block, new Environment());
  }

  /** The result of an operator that writes is the tensor that it wrote. */
  #nameResults(node: Node): void {
    if (RESHAPING.has(node.kind)) {
      this.#reshape(node);
      return;
    }
    for (const [i, output] of node.outputs.entries()) {
      const target = writtenFor(node, i);
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

  /** Throws where a tensor that may or may not share the written memory was made before and is used afterwards. */
  #check(write: Node): void {
    for (const target of this.#targets.get(write) ?? []) {
      const { storage } = this.#storages.place(target);
      const later = this.#useOfShared(storage, write, (other) => other !== storage);
      if (later === undefined) continue;
      throw nodeError(
        "unsupported",
        write,
        `it depends on the run whether this write in place is seen by a later node, so it cannot be compiled${shown(later)}`,
        "Write `x = x.op(...)` instead of `x.op_(...)` in the model, or clone() the tensor first.",
      );
    }
  }

  /** Throws where an operator of which nothing is known may be there to write to what is used afterwards. */
  #checkUnknown(node: Node): void {
    for (const input of doubtfulInputs(node)) {
      if (!isTensor(input.type)) continue;
      const later = this.#useOfShared(this.#storages.place(input).storage, node, () => true);
      if (later === undefined) continue;
      throw nodeError(
        "unsupported",
        node,
        `nobody knows whether ${node.kind} writes to its inputs, and a later node uses one of them${shown(later)}`,
        "Use an operator in the model that returns a new tensor.",
      );
    }
  }

  /** A use after `write` of a tensor that may share the storage. */
  #useOfShared(storage: Storage, write: Node, isMeant: (other: Storage) => boolean): Node | undefined {
    const roots = storage.roots();
    if (storage.keepers.some((keeper) => this.#runsBefore(keeper, write, storage.base))) {
      roots.add(this.#storages.unknown);
    }
    for (const other of this.#storages.related(roots)) {
      if (!isMeant(other)) continue;
      for (const member of other.members) {
        const later = this.#useAfter(member, write);
        if (later !== undefined) return later;
      }
    }
    return undefined;
  }

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
        const place = this.#storages.find(output);
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
    const place = this.#storages.find(value);
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
    const inputs = this.#storages.contents.get(node)?.map((input) => this.#current(input, environment, before));
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
        const { storage } = this.#storages.place(target);
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
      const { base } = this.#storages.place(target).storage;
      const isInput = base.node === this.#graph.block.paramNode;
      // The caller's tensor stays as it is: an engine writes to its outputs only.
      this.#state?.writeInPlace(base, node, this.#graph);
      if (isInput) this.#report.record("functionalize", "write to an input", node, base.name);
    }
    this.#report.record("functionalize", kind, node);
    const results = functionalResults(node, targets.length, this.#dtypes);
    for (const [i, target] of targets.entries()) this.#assign(target, results[i] as Value, node, environment);
    node.destroy();
  }

  /** From now on `target` holds `result`, and so do the tensors that it is a view of. */
  #assign(target: Value, result: Value, node: Node, environment: Environment): void {
    const { storage } = this.#storages.place(target);
    const version = ++this.#version;
    result.debugName = target.debugName;
    const changed: [Value, Value][] = [[target, result]];
    let part = result;
    let at = target;
    for (let view = this.#storages.place(at).view; view !== undefined; view = this.#storages.place(at).view) {
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

function shown(node: Node): string {
  return `:
  ${printHead(node)}`;
}
