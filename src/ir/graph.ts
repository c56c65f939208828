import { TrtorchError } from "../util/errors.js";
import type { Constant } from "./constant.js";
import type { FunctionSchema } from "./schema.js";
import { NoneType, TensorType, type Type } from "./type.js";

/** Where in the user's Python a node comes from, and through which calls and modules it was reached. */
export interface SourceRange {
  readonly file: string;
  /** 1-based; 0 when only the file is known. */
  readonly line: number;
  /** The line's text, when the archive holds it. */
  readonly text?: string;
  /** Path of submodules from the root, e.g. `features.0`. */
  readonly module?: string;
  /** Qualified class of that submodule, e.g. `torchvision.models.resnet.BasicBlock`. */
  readonly moduleClass?: string;
  /** The callers, innermost first, when methods were inlined. */
  readonly callers?: readonly SourceRange[];
}

/** A node's attribute. Constants live in `value`; `name`, `field`, `idx` and the like hold strings and ints. */
export type Attribute = Constant | Graph;

export interface Use {
  readonly user: Node;
  /** Which of the user's inputs. */
  readonly offset: number;
}

/** A result of a node, or an input of a block. */
export class Value {
  /** Unique in its graph. */
  readonly id: number;
  readonly node: Node;
  type: Type;
  /** A name for people, from the source (`x`, `self.weight`); printed as PyTorch does when it is set. */
  debugName: string | undefined;
  readonly #uses = new Set<Use>();

  /** @internal Values are made by nodes and blocks. */
  constructor(id: number, node: Node, type: Type, debugName?: string) {
    this.id = id;
    this.node = node;
    this.type = type;
    this.debugName = debugName;
  }

  get uses(): ReadonlySet<Use> {
    return this.#uses;
  }

  get hasUses(): boolean {
    return this.#uses.size > 0;
  }

  get graph(): Graph {
    return this.node.graph;
  }

  get name(): string {
    return this.debugName ?? String(this.id);
  }

  replaceAllUsesWith(other: Value): void {
    if (other === this) return;
    for (const use of [...this.#uses]) use.user.replaceInput(use.offset, other);
  }

  /** @internal */
  addUse(use: Use): void {
    this.#uses.add(use);
  }

  /** @internal */
  removeUse(use: Use): void {
    this.#uses.delete(use);
  }
}

/**
 * An operation: kind (`aten::conv2d`, `prim::If`), inputs, outputs, attributes and nested blocks. Nodes of a block are a
 * linked list, so that inserting and removing while walking cost the same everywhere.
 */
export class Node {
  readonly graph: Graph;
  readonly kind: string;
  readonly attributes = new Map<string, Attribute>();
  readonly blocks: Block[] = [];
  readonly outputs: Value[] = [];
  /** The operator's schema, once resolved; undefined for `prim` nodes with syntax of their own. */
  schema: FunctionSchema | undefined;
  sourceRange: SourceRange | undefined;
  /** The block it stands in; undefined before insertion and after removal. */
  owningBlock: Block | undefined;
  /** @internal */ previous: Node | undefined;
  /** @internal */ next: Node | undefined;
  readonly #inputs: Value[] = [];
  readonly #uses: Use[] = [];

  /** @internal Use {@link Graph.createNode}. */
  constructor(graph: Graph, kind: string) {
    this.graph = graph;
    this.kind = kind;
  }

  get inputs(): readonly Value[] {
    return this.#inputs;
  }

  input(index = 0): Value {
    const value = this.#inputs[index];
    if (value === undefined) throw new TrtorchError("ir", `${this.kind} has no input ${index}`);
    return value;
  }

  output(index = 0): Value {
    const value = this.outputs[index];
    if (value === undefined) throw new TrtorchError("ir", `${this.kind} has no output ${index}`);
    return value;
  }

  addInput(value: Value): void {
    const use: Use = { user: this, offset: this.#inputs.length };
    this.#inputs.push(value);
    this.#uses.push(use);
    value.addUse(use);
  }

  replaceInput(index: number, value: Value): Value {
    const old = this.input(index);
    const use = this.#uses[index] as Use;
    old.removeUse(use);
    this.#inputs[index] = value;
    value.addUse(use);
    return old;
  }

  removeInput(index: number): void {
    const rest = this.#inputs.slice(index + 1);
    this.#dropInputsFrom(index);
    for (const value of rest) this.addInput(value);
  }

  removeAllInputs(): void {
    this.#dropInputsFrom(0);
  }

  #dropInputsFrom(index: number): void {
    for (let i = this.#inputs.length - 1; i >= index; i--) this.input(i).removeUse(this.#uses[i] as Use);
    this.#inputs.length = index;
    this.#uses.length = index;
  }

  addOutput(type: Type = TensorType, debugName?: string): Value {
    const value = new Value(this.graph.nextId(), this, type, debugName);
    this.outputs.push(value);
    return value;
  }

  eraseOutput(index: number): void {
    if (this.output(index).hasUses) throw new TrtorchError("internal", `output ${index} of ${this.kind} is still used`);
    this.outputs.splice(index, 1);
  }

  addBlock(): Block {
    const block = new Block(this.graph, this);
    this.blocks.push(block);
    return block;
  }

  insertBefore(other: Node): this {
    other.owningBlock?.link(this, other.previous, other);
    return this;
  }

  insertAfter(other: Node): this {
    other.owningBlock?.link(this, other, other.next);
    return this;
  }

  moveBefore(other: Node): this {
    this.owningBlock?.unlink(this);
    return this.insertBefore(other);
  }

  /** Takes the node out of its block and its graph. Its outputs must have no uses left. */
  destroy(): void {
    for (const output of this.outputs) {
      if (output.hasUses) throw new TrtorchError("internal", `%${output.name} of ${this.kind} is still used`);
    }
    for (const block of this.blocks) block.destroyNodes();
    this.removeAllInputs();
    this.owningBlock?.unlink(this);
  }

  string(name: string): string {
    return this.attributes.get(name) as string;
  }
}

/** A straight run of nodes with inputs and outputs: a graph's body, an If's branch, a Loop's body. */
export class Block {
  readonly graph: Graph;
  readonly owningNode: Node | undefined;
  /** Its outputs are the block's inputs. */
  readonly paramNode: Node;
  /** Its inputs are the block's outputs. */
  readonly returnNode: Node;
  #first: Node | undefined;
  #last: Node | undefined;

  constructor(graph: Graph, owningNode?: Node) {
    this.graph = graph;
    this.owningNode = owningNode;
    this.paramNode = new Node(graph, "prim::Param");
    this.returnNode = new Node(graph, "prim::Return");
    this.paramNode.owningBlock = this;
    this.returnNode.owningBlock = this;
  }

  get inputs(): readonly Value[] {
    return this.paramNode.outputs;
  }

  get outputs(): readonly Value[] {
    return this.returnNode.inputs;
  }

  addInput(type: Type = TensorType, debugName?: string): Value {
    return this.paramNode.addOutput(type, debugName);
  }

  registerOutput(value: Value): number {
    this.returnNode.addInput(value);
    return this.outputs.length - 1;
  }

  /** In order. Safe while the node last yielded is removed or replaced, and while nodes are inserted. */
  *nodes(): Generator<Node> {
    let node = this.#first;
    while (node !== undefined) {
      const next: Node | undefined = node.next;
      yield node;
      node = node.owningBlock === this ? node.next : next;
    }
  }

  get firstNode(): Node | undefined {
    return this.#first;
  }

  get lastNode(): Node | undefined {
    return this.#last;
  }

  appendNode(node: Node): Node {
    this.link(node, this.#last, undefined);
    return node;
  }

  prependNode(node: Node): Node {
    this.link(node, undefined, this.#first);
    return node;
  }

  /** @internal */
  link(node: Node, previous: Node | undefined, next: Node | undefined): void {
    if (node.owningBlock !== undefined) throw new TrtorchError("internal", `${node.kind} is in a block already`);
    // The return node stands after the last one without being a link of the list.
    if (next === this.returnNode) [previous, next] = [this.#last, undefined];
    node.owningBlock = this;
    node.previous = previous;
    node.next = next;
    if (previous === undefined) this.#first = node;
    else previous.next = node;
    if (next === undefined) this.#last = node;
    else next.previous = node;
  }

  /** @internal */
  unlink(node: Node): void {
    if (node.previous === undefined) this.#first = node.next;
    else node.previous.next = node.next;
    if (node.next === undefined) this.#last = node.previous;
    else node.next.previous = node.previous;
    node.owningBlock = undefined;
    node.previous = undefined;
    node.next = undefined;
  }

  destroyNodes(): void {
    this.returnNode.removeAllInputs();
    for (let node = this.#last; node !== undefined; node = this.#last) node.destroy();
  }

  /**
   * Copies the nodes of `source` to the end of this block. `valueMap` gives the counterparts of the values that
   * `source` takes from outside (its inputs among them) and receives those of its nodes; a value it does not hold
   * stands for itself. Returns the counterparts of the outputs.
   */
  cloneFrom(source: Block, valueMap: Map<Value, Value>): Value[] {
    const map = (value: Value): Value => valueMap.get(value) ?? value;
    for (const node of source.nodes()) this.appendNode(this.graph.createClone(node, map, valueMap));
    return source.outputs.map(map);
  }
}

/** A function's body: PyTorch's `torch._C.Graph`. */
export class Graph {
  readonly block: Block;
  /** The qualified name of the method it is, for messages. */
  readonly name: string | undefined;
  /** What inputs are where a caller leaves them out, as the function's signature says. */
  readonly defaults = new Map<Value, Constant>();
  #ids = 0;

  constructor(name?: string) {
    this.name = name;
    this.block = new Block(this);
  }

  /** @internal */
  nextId(): number {
    return this.#ids++;
  }

  get inputs(): readonly Value[] {
    return this.block.inputs;
  }

  get outputs(): readonly Value[] {
    return this.block.outputs;
  }

  nodes(): Generator<Node> {
    return this.block.nodes();
  }

  addInput(debugName?: string, type: Type = TensorType): Value {
    return this.block.addInput(type, debugName);
  }

  registerOutput(value: Value): number {
    return this.block.registerOutput(value);
  }

  /** A node outside any block; insert it with `insertBefore`, `insertAfter` or `appendNode`. */
  createNode(kind: string, inputs: readonly Value[] = [], outputTypes: readonly Type[] = []): Node {
    const node = new Node(this, kind);
    for (const input of inputs) node.addInput(input);
    for (const type of outputTypes) node.addOutput(type);
    return node;
  }

  /** A `prim::Constant` outside any block. */
  createConstant(value: Constant, type: Type): Node {
    const node = this.createNode("prim::Constant", [], [type]);
    if (type !== NoneType && value !== null) node.attributes.set("value", value);
    return node;
  }

  /** A copy of `node` outside any block, with inputs mapped and outputs entered into `valueMap`. */
  createClone(node: Node, map: (value: Value) => Value, valueMap: Map<Value, Value>): Node {
    const clone = this.createNode(node.kind, node.inputs.map(map));
    clone.schema = node.schema;
    clone.sourceRange = node.sourceRange;
    for (const [name, attribute] of node.attributes) clone.attributes.set(name, attribute);
    for (const output of node.outputs) valueMap.set(output, clone.addOutput(output.type, output.debugName));
    for (const block of node.blocks) {
      const copy = clone.addBlock();
      for (const input of block.inputs) valueMap.set(input, copy.addInput(input.type, input.debugName));
      for (const output of copy.cloneFrom(block, valueMap)) copy.registerOutput(output);
    }
    return clone;
  }

  /** A deep copy. */
  copy(): Graph {
    const graph = new Graph(this.name);
    const valueMap = new Map<Value, Value>();
    for (const input of this.inputs) valueMap.set(input, graph.addInput(input.debugName, input.type));
    for (const [input, value] of this.defaults) graph.defaults.set(valueMap.get(input) as Value, value);
    for (const output of graph.block.cloneFrom(this.block, valueMap)) graph.registerOutput(output);
    return graph;
  }
}

/** Every node under `block`, outer before inner. */
export function* allNodes(block: Block): Generator<Node> {
  for (const node of block.nodes()) {
    yield node;
    for (const inner of node.blocks) yield* allNodes(inner);
  }
}

/** The values that the nodes and outputs of `block` read and that are made outside of it. */
export function valuesFromOutside(block: Block): Set<Value> {
  const own = new Set<Value>();
  const outside = new Set<Value>();
  const read = (value: Value): void => {
    if (!own.has(value)) outside.add(value);
  };
  const visit = (at: Block): void => {
    for (const input of at.inputs) own.add(input);
    for (const node of at.nodes()) {
      node.inputs.forEach(read);
      node.blocks.forEach(visit);
      for (const output of node.outputs) own.add(output);
    }
    at.outputs.forEach(read);
  };
  visit(block);
  return outside;
}

/** The value of a `prim::Constant`; undefined for every other value. `null` is None. */
export function constantOf(value: Value): Constant | undefined {
  if (value.node.kind !== "prim::Constant") return undefined;
  return (value.node.attributes.get("value") ?? null) as Constant;
}
