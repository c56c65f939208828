import { type Constant, constantKey, holdsTensor, ObjectValue, TupleValue, typeOfConstant } from "../ir/constant.js";
import { allNodes, type Block, type Graph, type Node, type Value } from "../ir/graph.js";
import { Tensor } from "../ir/tensor.js";
import { AnyType, ClassType, type Type } from "../ir/type.js";
import type { LoweringReport } from "./report.js";
import { StateWrites } from "./state-writes.js";
import { isTensor } from "./views.js";

/**
 * Makes the attributes of the root module constants: a `prim::GetAttr` chain from `self` becomes what it leads to, and
 * `training` is false. An attribute that the method writes is followed through the graph as a variable: what is read is
 * what was last written, also through branches and loops; that the module would keep it for the next call is
 * recorded, and for tensors told to `state`. A tensor that several attributes share stays one constant. `self` is no input afterwards unless
 * something else uses it.
 */
export function freeze(
  graph: Graph,
  root: ObjectValue,
  report: LoweringReport,
  state: StateWrites = new StateWrites(),
): boolean {
  const [self] = graph.inputs;
  if (self?.type.kind !== "ClassType") return false;
  new Freezer(graph, root, report, state).run(self);
  return true;
}

/** Attributes that the method writes, by object and name. */
interface Cell {
  readonly object: ObjectValue;
  readonly name: string;
  readonly type: Type;
  readonly path: string;
  /** The first that writes it. */
  readonly node: Node;
  /** Is what it held before the call read anywhere? */
  isRead: boolean;
}
type Environment = Map<Cell, Value>;

class Freezer {
  readonly #graph: Graph;
  readonly #report: LoweringReport;
  readonly #root: ObjectValue;
  readonly #state: StateWrites;
  readonly #objects = new Map<Value, { readonly object: ObjectValue; readonly path: string }>();
  readonly #cells = new Map<ObjectValue, Map<string, Cell>>();
  /** Constants by what they hold: objects and tensors by identity, the rest by type and text. */
  readonly #constants = new Map<unknown, Value>();
  /** Constants stand before this, in the order in which they are first read. */
  readonly #anchor: Node;

  constructor(graph: Graph, root: ObjectValue, report: LoweringReport, state: StateWrites) {
    this.#graph = graph;
    this.#root = root;
    this.#state = state;
    this.#report = report;
    this.#anchor = graph.block.prependNode(graph.createNode("prim::Param"));
  }

  run(self: Value): void {
    this.#objects.set(self, { object: this.#root, path: "self" });
    for (const node of allNodes(this.#graph.block)) {
      if (node.kind === "prim::GetAttr") this.#follow(node);
      else if (node.kind === "prim::SetAttr") this.#addCell(node);
    }
    const last: Environment = new Map();
    this.#block(this.#graph.block, last);
    for (const [cell, value] of last) this.#followState(cell, value);
    // What is left of the chains, innermost objects last.
    for (const [value] of [...this.#objects].reverse()) {
      if (value !== self && !value.hasUses && value.node.kind === "prim::GetAttr") value.node.destroy();
      else if (value !== self && value.hasUses && value.node.kind === "prim::GetAttr") this.#keepObject(value);
    }
    this.#anchor.destroy();
    if (!self.hasUses) this.#graph.block.paramNode.eraseOutput(0);
  }

  /** Tensors that a later call would find. What becomes of lists, dicts and numbers is recorded only. */
  #followState(cell: Cell, last: Value): void {
    const before = cell.object.attributes.get(cell.name) ?? null;
    const { node, isRead } = cell;
    const held = cell.type.kind === "OptionalType" ? cell.type.element : cell.type;
    if (!(before instanceof Tensor) && !(before === null && isTensor(held))) return;
    this.#state.follow(this.#graph, { name: cell.path, before, isRead, node }, last);
  }

  #follow(node: Node): void {
    const owner = this.#objects.get(node.input());
    const value = owner?.object.attributes.get(node.string("name"));
    if (owner === undefined || !(value instanceof ObjectValue)) return;
    this.#objects.set(node.output(), { object: value, path: `${owner.path}.${node.string("name")}` });
  }

  #addCell(node: Node): void {
    const owner = this.#objects.get(node.input());
    if (owner === undefined) return;
    const { object } = owner;
    const names = this.#cells.get(object) ?? new Map<string, Cell>();
    const name = node.string("name");
    const type = node.input(1).type;
    const path = `${owner.path}.${name}`;
    if (!names.has(name)) names.set(name, { object, name, type, path, node, isRead: false });
    this.#cells.set(object, names);
  }

  #cell(node: Node): Cell | undefined {
    const object = this.#objects.get(node.input())?.object;
    return object && this.#cells.get(object)?.get(node.string("name"));
  }

  /** In order, with what written attributes hold at each place. */
  #block(block: Block, environment: Environment): void {
    for (const node of block.nodes()) {
      if (node.kind === "prim::GetAttr") this.#read(node, environment);
      else if (node.kind === "prim::SetAttr") this.#write(node, environment);
      else if (node.kind === "prim::If") this.#branch(node, environment);
      else if (node.kind === "prim::Loop") this.#loop(node, environment);
      else for (const inner of node.blocks) this.#block(inner, new Map(environment));
    }
  }

  #read(node: Node, environment: Environment): void {
    const owner = this.#objects.get(node.input());
    if (owner === undefined || this.#objects.has(node.output())) return;
    const cell = this.#cell(node);
    if (cell !== undefined) {
      if (!environment.has(cell)) cell.isRead = true;
      node.output().replaceAllUsesWith(this.#current(cell, owner.path, environment, node.output().type));
      node.destroy();
      return;
    }
    const name = node.string("name");
    if (!owner.object.attributes.has(name)) return;
    const constant = this.#attribute(owner.object, name, owner.path, node.output().type);
    node.output().replaceAllUsesWith(constant);
    node.destroy();
  }

  #write(node: Node, environment: Environment): void {
    const cell = this.#cell(node);
    if (cell === undefined) return;
    environment.set(cell, node.input(1));
    const owner = this.#objects.get(node.input());
    this.#report.record("freeze", "state write", node, `${owner?.path}.${cell.name}`);
    node.destroy();
  }

  #branch(node: Node, environment: Environment): void {
    const written = this.#written(node);
    const after = node.blocks.map((block) => {
      const inner = new Map(environment);
      this.#block(block, inner);
      return inner;
    });
    for (const cell of written) {
      for (const [i, block] of node.blocks.entries()) {
        block.registerOutput(this.#current(cell, undefined, after[i] as Environment, cell.type));
      }
      environment.set(cell, node.addOutput(cell.type));
    }
  }

  #loop(node: Node, environment: Environment): void {
    const [body] = node.blocks;
    if (body === undefined) return;
    const inner = new Map(environment);
    const written = this.#written(node);
    for (const cell of written) {
      node.addInput(this.#current(cell, undefined, environment, cell.type));
      inner.set(cell, body.addInput(cell.type));
    }
    this.#block(body, inner);
    for (const cell of written) {
      body.registerOutput(this.#current(cell, undefined, inner, cell.type));
      environment.set(cell, node.addOutput(cell.type));
    }
  }

  /** The cells that a node's blocks write. */
  #written(node: Node): Set<Cell> {
    const cells = new Set<Cell>();
    if (this.#cells.size === 0) return cells;
    for (const block of node.blocks) {
      for (const inner of allNodes(block)) {
        const cell = inner.kind === "prim::SetAttr" ? this.#cell(inner) : undefined;
        if (cell !== undefined) cells.add(cell);
      }
    }
    return cells;
  }

  #current(cell: Cell, path: string | undefined, environment: Environment, type: Type): Value {
    return environment.get(cell) ?? this.#attribute(cell.object, cell.name, path ?? "self", type);
  }

  #attribute(object: ObjectValue, name: string, path: string, declared: Type): Value {
    const given = object.attributes.get(name) ?? null;
    const value = name === "training" && typeof given === "boolean" ? false : given;
    return this.#constant(value, typeOfConstant(value, declared), `${path}.${name}`);
  }

  #constant(value: Constant, type: Type, name: string): Value {
    // Lists and dicts may be written to: each attribute's is one value, as in Python.
    const key = Array.isArray(value) ? value : constantKey(value, type);
    const known = this.#constants.get(key);
    if (known !== undefined) return known;
    const node = this.#construct(value, type, name) ?? this.#graph.createConstant(value, type);
    node.insertBefore(this.#anchor);
    node.output().debugName = name;
    if (value instanceof Tensor) this.#state.addTensor(value, name);
    this.#constants.set(key, node.output());
    return node.output();
  }

  /** A list or tuple that holds tensors is made of them, so that each stays one constant. */
  #construct(value: Constant, type: Type, name: string): Node | undefined {
    if (value instanceof Tensor || !holdsTensor(value)) return undefined;
    if (Array.isArray(value) && type.kind === "ListType") {
      const items = value.map((item, i) => this.#constant(item, typeOfConstant(item, type.element), `${name}.${i}`));
      return this.#graph.createNode("prim::ListConstruct", items, [type]);
    }
    if (value instanceof TupleValue && type.kind === "TupleType") {
      const items = value.elements.map((item, i) =>
        this.#constant(item, typeOfConstant(item, type.elements[i] ?? AnyType), `${name}.${i}`),
      );
      return this.#graph.createNode("prim::TupleConstruct", items, [type]);
    }
    if (value instanceof Map && type.kind === "DictType") {
      const items = [...value].flatMap(([key, item]) => [
        this.#constant(key, type.key, `${name}.key`),
        this.#constant(item, typeOfConstant(item, type.value), `${name}.${key}`),
      ]);
      return this.#graph.createNode("prim::DictConstruct", items, [type]);
    }
    return undefined;
  }

  /** An object that an operator takes, such as the packed weights of a quantized layer. */
  #keepObject(value: Value): void {
    const known = this.#objects.get(value);
    const isRead = [...value.uses].every(({ user }) => user.kind === "prim::GetAttr" || user.kind === "prim::SetAttr");
    if (known === undefined || isRead) return;
    const constant = this.#constant(known.object, ClassType(known.object.typeName), known.path);
    value.replaceAllUsesWith(constant);
    value.node.destroy();
  }
}
