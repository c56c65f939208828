import { TrtorchError } from "../util/errors.js";
import type { Block, Graph, Node, Value } from "./graph.js";
import { printNode } from "./printer.js";
import { operatorName } from "./schema.js";

/**
 * Checks what every pass must keep: values are defined before they are used and in a block around the use, uses are
 * listed at their values, branches and loops have the blocks, inputs and outputs that belong to them, calls have the
 * arguments of their schema. Throws `ir` with the node that breaks a rule; a graph that fails is a bug of whatever
 * made it.
 */
export function verify(graph: Graph): void {
  const verifier = new Verifier(graph);
  verifier.block(graph.block);
  verifier.uses();
}

class Verifier {
  readonly #graph: Graph;
  readonly #visible = new Set<Value>();
  /** How often each value was met as an input. */
  readonly #uses = new Map<Value, number>();

  constructor(graph: Graph) {
    this.#graph = graph;
  }

  block(block: Block): void {
    const defined: Value[] = [];
    const define = (value: Value, node: Node): void => {
      if (value.node !== node) this.#fail(node, `%${value.name} belongs to another node`);
      if ((value.type as unknown) === undefined) this.#fail(node, `%${value.name} has no type`);
      this.#visible.add(value);
      this.#uses.set(value, 0);
      defined.push(value);
    };
    for (const input of block.inputs) define(input, block.paramNode);
    for (const node of block.nodes()) {
      if (node.owningBlock !== block) this.#fail(node, "the node stands in a block that does not own it");
      this.#inputs(node);
      this.#form(node);
      for (const inner of node.blocks) {
        if (inner.owningNode !== node) this.#fail(node, "a block of the node has another owner");
        this.block(inner);
      }
      for (const output of node.outputs) define(output, node);
    }
    this.#inputs(block.returnNode);
    for (const value of defined) this.#visible.delete(value);
  }

  /** After all blocks: a use out of sight has been told by then, by its own node. */
  uses(): void {
    for (const [value, count] of this.#uses) {
      for (const { user, offset } of value.uses) {
        if (user.inputs[offset] !== value) {
          this.#fail(user, `%${value.name} lists a use as input ${offset} that is none`);
        }
        if (user.owningBlock === undefined) this.#fail(user, `%${value.name} is used by a node outside the graph`);
      }
      if (value.uses.size !== count) {
        this.#fail(value.node, `%${value.name} lists ${value.uses.size} uses and has ${count}`);
      }
    }
  }

  #inputs(node: Node): void {
    if (node.graph !== this.#graph) this.#fail(node, "the node belongs to another graph");
    for (const [i, value] of node.inputs.entries()) {
      if (!this.#visible.has(value))
        this.#fail(node, `input ${i}, %${value.name}, is not defined before it or not in sight`);
      this.#uses.set(value, (this.#uses.get(value) ?? 0) + 1);
    }
  }

  #form(node: Node): void {
    switch (node.kind) {
      case "prim::Constant":
        this.#expect(
          node,
          node.inputs.length === 0 && node.outputs.length === 1,
          "a constant has no inputs and one output",
        );
        return;
      case "prim::If":
        this.#expect(
          node,
          node.inputs.length === 1 && node.blocks.length === 2,
          "an If has a condition and two blocks",
        );
        for (const block of node.blocks) {
          this.#expect(node, block.inputs.length === 0, "a branch has no inputs");
          this.#expect(node, block.outputs.length === node.outputs.length, "each branch gives every output of the If");
        }
        return;
      case "prim::Loop": {
        const [body] = node.blocks;
        const carried = node.outputs.length;
        this.#expect(node, node.blocks.length === 1 && body !== undefined, "a Loop has one block");
        this.#expect(
          node,
          node.inputs.length === carried + 2,
          "a Loop takes trip count, condition and each carried value",
        );
        this.#expect(
          node,
          body?.inputs.length === carried + 1,
          "a Loop's body takes the counter and each carried value",
        );
        this.#expect(
          node,
          body?.outputs.length === carried + 1,
          "a Loop's body gives the condition and each carried value",
        );
        return;
      }
      default:
        this.#schema(node);
    }
  }

  #schema(node: Node): void {
    const { schema } = node;
    if (schema === undefined) return;
    const name = operatorName(schema);
    const required = schema.arguments.filter((formal) => !formal.hasDefault).length;
    this.#expect(node, schema.name === node.kind, `its schema is ${name}'s`);
    this.#expect(node, node.inputs.length >= required, `${name} takes at least ${required} arguments`);
    this.#expect(
      node,
      schema.isVararg || node.inputs.length <= schema.arguments.length,
      `${name} takes at most ${schema.arguments.length} arguments`,
    );
    this.#expect(
      node,
      schema.isVarret || node.outputs.length === schema.returns.length,
      `${name} gives ${schema.returns.length} results`,
    );
  }

  #expect(node: Node, condition: boolean, rule: string): void {
    if (!condition) this.#fail(node, rule);
  }

  #fail(node: Node, message: string): never {
    throw new TrtorchError(
      "ir",
      `invalid graph${this.#graph.name === undefined ? "" : ` of ${this.#graph.name}`}: ${message}
  ${printNode(node, { sourceRanges: false })}`,
    );
  }
}
