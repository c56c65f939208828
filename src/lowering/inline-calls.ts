import { type Constant, ObjectValue } from "../ir/constant.js";
import { allNodes, type Graph, type Node, type SourceRange, type Value } from "../ir/graph.js";
import type { Program } from "../ir/module.js";
import { nodeError } from "../ir/printer.js";
import { replaceNode } from "./blocks.js";

/** A call chain deeper than this is taken for a recursion, which no archive that PyTorch can run contains. */
const MAX_DEPTH = 200;

/** In which module's code a node stands. */
interface Frame {
  readonly module: string;
  readonly moduleClass: string | undefined;
  readonly callers: readonly SourceRange[];
  readonly depth: number;
}

/**
 * Replaces `prim::CallMethod`, `prim::CallFunction` and `prim::fork` by the bodies of what they call, all the way down.
 * Methods of an interface are those of the object that the attribute holds. Every node learns the path and the class
 * of its module and its callers. Linear in the size of the result.
 */
export function inlineCalls(graph: Graph, program: Program): boolean {
  new Inliner(program).run(graph);
  return true;
}

/** `__torch__.torchvision.models.resnet.___torch_mangle_3.BasicBlock` as its author wrote it. */
export function className(typeName: string): string {
  return typeName.replace(/^__torch__\./, "").replace(/___torch_mangle_\d+\./g, "");
}

class Inliner {
  readonly #program: Program;
  /** Objects that are reached from the root by attributes, and by which path. */
  readonly #objects = new Map<Value, { readonly object: ObjectValue; readonly path: string }>();

  constructor(program: Program) {
    this.#program = program;
  }

  run(graph: Graph): void {
    const [self] = graph.inputs;
    const { root } = this.#program;
    if (self?.type.kind === "ClassType") this.#objects.set(self, { object: root, path: "" });
    const frame: Frame = { module: "", moduleClass: className(root.typeName), callers: [], depth: 0 };
    for (const node of graph.nodes()) {
      annotate(node, frame);
      this.#visit(node, frame);
    }
  }

  #visit(node: Node, frame: Frame): void {
    switch (node.kind) {
      case "prim::GetAttr":
        this.#follow(node);
        return;
      case "prim::CallMethod":
        this.#inlineMethod(node, frame);
        return;
      case "prim::CallFunction": {
        const type = node.input().type;
        const name = type.kind === "FunctionType" && type.name !== "" ? type.name : node.input().node.string("name");
        this.#inline(node, this.#program.function(name), node.inputs.slice(1), frame);
        return;
      }
      case "prim::fork": {
        // Nothing runs at the same time in a network: a fork is a call, and its wait the call's result.
        const subgraph = node.attributes.get("Subgraph") as Graph | undefined;
        if (subgraph !== undefined) this.#inline(node, subgraph, node.inputs, frame);
        return;
      }
      case "aten::wait":
        if (node.input().type.kind !== "FutureType") replaceNode(node, [node.input()]);
        return;
      default:
        for (const block of node.blocks) for (const inner of block.nodes()) this.#visit(inner, frame);
    }
  }

  #follow(node: Node): void {
    const owner = this.#objects.get(node.input());
    const name = node.string("name");
    const value: Constant | undefined = owner?.object.attributes.get(name);
    if (owner !== undefined && value instanceof ObjectValue) {
      this.#objects.set(node.output(), { object: value, path: owner.path === "" ? name : `${owner.path}.${name}` });
    }
  }

  #inlineMethod(node: Node, frame: Frame): void {
    const self = node.input();
    const known = this.#objects.get(self);
    const { type } = self;
    // The object itself knows best: an attribute's type may be an interface.
    const typeName = known?.object.typeName ?? (type.kind === "ClassType" ? type.name : undefined);
    if (typeName === undefined) {
      throw nodeError(
        "unsupported",
        node,
        `which module's ${node.string("name")} is called here is known only at run time`,
        "Call the submodule through an attribute of its own instead of choosing it by a condition.",
      );
    }
    // Custom C++ classes have no code in the archive: their methods stay calls.
    if (typeName.startsWith("__torch__.torch.classes.")) return;
    const inner =
      known === undefined ? frame : { ...frame, module: known.path, moduleClass: className(known.object.typeName) };
    this.#inline(node, this.#program.method(typeName, node.string("name")), node.inputs, inner, frame);
  }

  #inline(call: Node, callee: Graph, inputs: readonly Value[], inner: Frame, outer: Frame = inner): void {
    if (outer.depth > MAX_DEPTH)
      throw nodeError("unsupported", call, "calls are nested too deeply: a function calls itself");
    const { module: _, moduleClass: __, callers: ___, ...here } = call.sourceRange ?? { file: "", line: 0 };
    const frame: Frame = {
      ...inner,
      callers: call.sourceRange === undefined ? outer.callers : [here, ...outer.callers],
      depth: outer.depth + 1,
    };
    const valueMap = new Map<Value, Value>();
    for (const [i, input] of callee.inputs.entries()) {
      const actual = inputs[i];
      if (actual === undefined)
        throw nodeError("ir", call, `${callee.name ?? "the callee"} takes ${callee.inputs.length} inputs`);
      valueMap.set(input, actual);
    }
    const map = (value: Value): Value => valueMap.get(value) ?? value;
    const clones: Node[] = [];
    for (const node of callee.nodes()) {
      const clone = call.graph.createClone(node, map, valueMap).insertBefore(call);
      annotate(clone, frame);
      clones.push(clone);
    }
    const outputs = callee.outputs.map(map);
    // Visiting a call among the clones destroys it: its result must be looked up afterwards, as an input of the return.
    const anchor = call.graph.createNode("prim::Return", outputs).insertBefore(call);
    for (const clone of clones) this.#visit(clone, frame);
    const results = [...anchor.inputs];
    anchor.destroy();
    replaceNode(call, results);
  }
}

function annotate(node: Node, frame: Frame): void {
  const place = {
    ...(frame.module === "" ? {} : { module: frame.module }),
    ...(frame.moduleClass === undefined ? {} : { moduleClass: frame.moduleClass }),
    ...(frame.callers.length === 0 ? {} : { callers: frame.callers }),
  };
  node.sourceRange = { ...(node.sourceRange ?? { file: "", line: 0 }), ...place };
  for (const block of node.blocks) {
    for (const inner of allNodes(block))
      inner.sourceRange = { ...(inner.sourceRange ?? { file: "", line: 0 }), ...place };
  }
}
