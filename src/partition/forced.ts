import { ObjectValue } from "../ir/constant.js";
import { allNodes, type Graph, type Node } from "../ir/graph.js";
import { operatorName } from "../ir/schema.js";

/** What the user keeps in Torch, by the peer's names for it. */
export interface ForcedToTorch {
  /** `aten::relu`; with an overload, `aten::add.Tensor`, only that. */
  readonly torchExecutedOps: readonly string[];
  /** Classes, as `torchvision.models.resnet.BasicBlock`, or paths of submodules, as `layer4.0`; what is within them too. */
  readonly torchExecutedModules: readonly string[];
}

/** Says of a node of a lowered graph why the user keeps it in Torch. `root` tells the classes of modules by their paths. */
export function forcedToTorch(options: ForcedToTorch, root: ObjectValue): (node: Node) => string | undefined {
  const operators = new Set(options.torchExecutedOps.map(functional));
  const modules = new Set(options.torchExecutedModules.map(plainClass));
  const reason = (node: Node): string | undefined => {
    const overload = node.schema === undefined ? node.kind : operatorName(node.schema);
    const operator = [node.kind, functional(node.kind), overload].find((name) => operators.has(name));
    if (operator !== undefined) return `torch_executed_ops names ${operator}`;
    if (modules.size === 0 || node.sourceRange === undefined) return undefined;
    const { module = "", moduleClass = "" } = node.sourceRange;
    const names = [plainClass(moduleClass), ...modulesAbove(root, module)];
    const found = names.find((name) => modules.has(name));
    return found === undefined ? undefined : `torch_executed_modules names ${found}`;
  };
  return (node) => {
    const own = reason(node);
    if (own !== undefined) return own;
    for (const block of node.blocks) {
      for (const inner of allNodes(block)) {
        const found = reason(inner);
        if (found !== undefined) return found;
      }
    }
    return undefined;
  };
}

/** The names that no node of a lowered graph answers to: mistyped, or of operators that lowering has replaced. */
export function unmatched(options: ForcedToTorch, root: ObjectValue, graph: Graph): string[] {
  const nodes = [...allNodes(graph.block)];
  const matches = (only: Partial<ForcedToTorch>): boolean => {
    const forced = forcedToTorch({ torchExecutedOps: [], torchExecutedModules: [], ...only }, root);
    return nodes.some((node) => forced(node) !== undefined);
  };
  return [
    ...options.torchExecutedOps.filter((name) => !matches({ torchExecutedOps: [name] })),
    ...options.torchExecutedModules.filter((name) => !matches({ torchExecutedModules: [name] })),
  ];
}

/** Lowering makes writes in place functional: `aten::relu_` runs as `aten::relu`. */
function functional(name: string): string {
  return name.endsWith("_") && !name.endsWith("__") ? name.slice(0, -1) : name;
}

/** PyTorch numbers classes of one name: `__torch__.net.___torch_mangle_3.Block` is `net.Block` in Python. */
function plainClass(name: string): string {
  return name.replace(/^__torch__\./, "").replace(/___torch_mangle_\d+\./g, "");
}

/** Paths and classes of the modules around a path, itself included. */
function modulesAbove(root: ObjectValue, path: string): string[] {
  const names = [plainClass(root.typeName)];
  let at: unknown = root;
  let walked = "";
  for (const part of path === "" ? [] : path.split(".")) {
    walked = walked === "" ? part : `${walked}.${part}`;
    names.push(walked);
    at = at instanceof ObjectValue ? at.attributes.get(part) : undefined;
    if (at instanceof ObjectValue) names.push(plainClass(at.typeName));
  }
  return names;
}
