import { allNodes, type Block, type Graph, type Node, type Use, type Value } from "../ir/graph.js";
import { printType } from "../ir/type.js";
import { ancestorIn, replaceNode } from "./blocks.js";
import { mutatedTypes, writesTo } from "./fold-constants.js";

/** How one kind of container (list, dict, object) is followed through the nodes that write to it and read it. */
export interface ContainerRules<Contents> {
  /** What a node makes; undefined where it makes no such container, or one that cannot be followed. */
  start(node: Node): Contents | undefined;
  /**
   * What a write or read gives, the contents changed accordingly; undefined where it cannot be told. Values may be
   * made in front of `node`.
   */
  apply(contents: Contents, node: Node): readonly Value[] | undefined;
  /** A new container of these contents, outside any block. */
  build?(contents: Contents, original: Node): Node;
}

/**
 * Takes apart containers that the graph makes itself: reads get what was last written, writes go. A container is
 * followed as long as it is written in the block that made it and nobody else could hold it before the last write;
 * whoever takes it whole gets a container of what it holds at that place.
 */
export function followContainers<Contents>(graph: Graph, rules: ContainerRules<Contents>): boolean {
  const mutable = mutatedTypes(graph);
  const positions = new Map<Node, number>();
  let position = 0;
  const makers: Node[] = [];
  for (const node of allNodes(graph.block)) {
    positions.set(node, position++);
    if (node.outputs.length === 1) makers.push(node);
  }
  let changed = false;
  for (const maker of makers) {
    if (maker.owningBlock === undefined) continue;
    const contents = rules.start(maker);
    if (contents !== undefined) changed = follow(maker, contents, rules, mutable, positions) || changed;
  }
  return changed;
}

/** A use, seen from the block of the container: the node of that block within which it happens. */
interface Event {
  readonly use: Use;
  readonly at: Node | undefined;
  readonly isWrite: boolean;
}

function follow<Contents>(
  maker: Node,
  contents: Contents,
  rules: ContainerRules<Contents>,
  mutable: ReadonlySet<string>,
  positions: ReadonlyMap<Node, number>,
): boolean {
  const container = maker.output();
  const block = maker.owningBlock as Block;
  const events: Event[] = [];
  for (const use of container.uses) {
    const isWrite = writesTo(use);
    // A write in a branch or loop happens or not, once or often.
    if (isWrite && use.user.owningBlock !== block) return false;
    events.push({ use, at: ancestorIn(use.user, block), isWrite });
  }
  // The return node has no position: it comes last. Nodes that this pass made stand where their neighbours did.
  const order = (node: Node | undefined): number => {
    if (node === undefined || node.kind === "prim::Return") return Number.POSITIVE_INFINITY;
    for (let at: Node | undefined = node; at !== undefined; at = at.next) {
      const known = positions.get(at);
      if (known !== undefined) return at === node ? known : known - 0.5;
    }
    return Number.POSITIVE_INFINITY;
  };
  const sorted = events
    .map((event) => ({ event, inner: order(event.use.user), outer: order(event.at) }))
    .sort((a, b) => (a.outer === b.outer ? a.inner - b.inner || 0 : a.outer - b.outer))
    .map(({ event }) => event);
  const lastWrite = sorted.findLastIndex((event) => event.isWrite);
  const firstEscape = sorted.findIndex((event) => mayKeep(event.use));
  if (firstEscape >= 0 && (firstEscape < lastWrite || mutable.has(printType(container.type)))) return false;
  if (rules.build === undefined && firstEscape >= 0) return false;

  let changed = false;
  let current = container;
  let isDirty = false;
  for (const [i, { use, at }] of sorted.entries()) {
    const { user } = use;
    if (user.owningBlock === undefined) continue;
    const results = user.inputs[use.offset] === container ? rules.apply(contents, user) : undefined;
    if (results !== undefined) {
      const isWrite = sorted[i]?.isWrite === true;
      // `append` gives the list itself: its uses have not been looked at, so they wait for the next round.
      if (isWrite && user.outputs.some((output) => output.hasUses) && results.includes(container)) {
        const whole = rules.build?.(contents, maker).insertBefore(user);
        if (whole === undefined) return changed;
        replaceNode(user, [whole.output()]);
        current = whole.output();
        isDirty = false;
        for (const { use: rest } of sorted.slice(i + 1)) {
          if (rest.user.owningBlock !== undefined) rest.user.replaceInput(rest.offset, current);
        }
        if (!container.hasUses) maker.destroy();
        return true;
      }
      replaceNode(user, results);
      isDirty ||= isWrite;
      changed = true;
      continue;
    }
    if (rules.build === undefined) continue;
    if (isDirty) {
      current = rules
        .build(contents, maker)
        .insertBefore(at ?? block.returnNode)
        .output();
      current.debugName = container.debugName;
      isDirty = false;
    }
    if (sorted[i]?.isWrite === true) {
      // A write that cannot be followed: from here on it is another container.
      for (const { use: rest } of sorted.slice(i)) {
        if (rest.user.owningBlock !== undefined) rest.user.replaceInput(rest.offset, current);
      }
      break;
    }
    if (current !== container) user.replaceInput(use.offset, current);
  }
  if (!container.hasUses) maker.destroy();
  return changed;
}

/** May the user hand the container itself on, so that a later write would be seen elsewhere? */
function mayKeep({ user, offset }: Use): boolean {
  if (user.kind === "prim::GetAttr" || (user.kind === "prim::SetAttr" && offset === 0)) return false;
  if (user.kind === "prim::ListUnpack") return false;
  const { schema } = user;
  if (schema === undefined) return true;
  const alias = schema.arguments[offset]?.alias;
  if (alias === undefined) return false;
  // `append(t[](a!) self, t(c -> *) el)`: the element is kept, the list written.
  return alias.after.includes("*");
}
