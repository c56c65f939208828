import { allNodes, constantOf, type Graph, type Node, type Value } from "../ir/graph.js";
import { placeOf, type StateWrite, stateWriteError } from "../ir/state-write.js";
import { Tensor } from "../ir/tensor.js";
import { isTensor } from "./views.js";

/** An attribute that the method assigns, and what it held before. */
interface Assigned {
  readonly name: string;
  readonly before: Tensor | null;
  /** May the method read what a former call left there? */
  readonly isRead: boolean;
  readonly node: Node;
}

/** Operators that look at a tensor's shape or type: what it holds does not matter to them, by the argument's index. */
const SHAPE_ONLY: Readonly<Record<string, number>> = {
  "aten::size": 0,
  "aten::dim": 0,
  "aten::numel": 0,
  "aten::len": 0,
  "aten::__is__": 0,
  "aten::__isnot__": 0,
  "prim::dtype": 0,
  "prim::device": 0,
  "aten::zeros_like": 0,
  "aten::ones_like": 0,
  "aten::empty_like": 0,
  "aten::full_like": 0,
  "aten::new_zeros": 0,
  "aten::new_ones": 0,
  "aten::new_full": 0,
  "aten::new_empty": 0,
  "aten::expand_as": 1,
  "aten::view_as": 1,
  "aten::type_as": 1,
  "aten::to": 1,
};

/**
 * Writes of a TorchScript method to tensors that outlive the call: attributes of modules and inputs. An engine starts
 * every run from what the file holds, so a write matters where a later call would have read it. One that nobody reads
 * (a counter, the last result kept for debugging), that overwrites all before it is read, or that only keeps what
 * follows from the sizes (tables that grow on demand) is dropped without harm.
 */
export class StateWrites {
  /** The modules' tensors by their path, as far as the method reads them. */
  readonly #names = new Map<Tensor, string>();
  readonly #assigned: Assigned[] = [];
  readonly #writes = new Map<Tensor, StateWrite>();

  addTensor(tensor: Tensor, path: string): void {
    if (!this.#names.has(tensor)) this.#names.set(tensor, withoutSelf(path));
  }

  /** Until {@link settle} the last value of an attribute is an output, so that passes keep it. */
  follow(graph: Graph, attribute: Assigned, last: Value): void {
    this.#assigned.push({ ...attribute, name: withoutSelf(attribute.name) });
    graph.registerOutput(last);
  }

  /** Called once branches on what is known (`self.training`) are taken: which attributes are assigned after all? */
  settle(graph: Graph): boolean {
    if (this.#assigned.length === 0) return false;
    const { returnNode } = graph.block;
    for (const { name, before, isRead, node } of this.#assigned.splice(0).reverse()) {
      const last = graph.outputs.at(-1) as Value;
      returnNode.removeInput(graph.outputs.length - 1);
      if (constantOf(last) === before || !isCarried(last, before, graph)) continue;
      const write: StateWrite = { what: "buffer", name, location: placeOf(node.sourceRange) };
      if (before !== null) this.#writes.set(before, write);
      else if (isRead) throw refusal(write);
    }
    return true;
  }

  /** `node` writes in place to memory that `base` shows all of. */
  writeInPlace(base: Value, node: Node, graph: Graph): void {
    const location = placeOf(node.sourceRange);
    if (base.node === graph.block.paramNode)
      throw refusal({ what: "input", name: base.name.replace(/\.\d+$/, ""), location });
    const tensor = constantOf(base);
    if (!(tensor instanceof Tensor) || this.#writes.has(tensor)) return;
    const name = this.#names.get(tensor);
    if (name !== undefined) this.#writes.set(tensor, { what: "buffer", name, location });
  }

  /** Throws where what the method gives still depends on a tensor that it writes to. The graph is lowered. */
  check(graph: Graph): void {
    if (this.#writes.size === 0) return;
    const read = new Set<unknown>();
    for (const node of allNodes(graph.block)) {
      if (node.kind !== "prim::Constant") continue;
      const uses = [...node.output().uses];
      if (uses.some(({ user, offset }) => SHAPE_ONLY[user.kind] !== offset)) read.add(constantOf(node.output()));
    }
    for (const [tensor, write] of this.#writes) if (read.has(tensor)) throw refusal(write);
  }
}

const withoutSelf = (path: string): string => path.replace(/^self\./, "");

const refusal = (write: StateWrite): Error => stateWriteError(write, ".");

/** Does a value follow from what the inputs hold, or from what the attribute held? Sizes and other constants may change it. */
function isCarried(value: Value, before: Tensor | null, graph: Graph): boolean {
  const seen = new Set<Value>();
  const open: { readonly at: Value; readonly isComputed: boolean }[] = [{ at: value, isComputed: false }];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { at, isComputed } = next;
    if (before !== null && isComputed && constantOf(at) === before) return true;
    if (seen.has(at)) continue;
    seen.add(at);
    const { node } = at;
    if (node === graph.block.paramNode) {
      if (isTensor(at.type)) return true;
    } else if (node.kind === "prim::If") {
      const index = node.outputs.indexOf(at);
      for (const { outputs } of node.blocks) open.push({ at: outputs[index] as Value, isComputed });
    } else {
      const owner = node.kind === "prim::Param" ? (node.owningBlock?.owningNode as Node) : node;
      const given = owner.inputs.filter((_, i) => SHAPE_ONLY[owner.kind] !== i);
      for (const input of [...given, ...owner.blocks.flatMap(({ outputs }) => [...outputs])]) {
        open.push({ at: input, isComputed: true });
      }
    }
  }
  return false;
}
