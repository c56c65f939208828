import { Device } from "../ir/constant.js";
import { allNodes, constantOf, type Graph, type Node, type Value } from "../ir/graph.js";
import { type FunctionSchema, isMutating, parseSchema } from "../ir/schema.js";
import { DeviceObjType, NoneType, TensorType } from "../ir/type.js";

const RESHAPE = parseSchema("aten::reshape(Tensor(a) self, SymInt[] shape) -> Tensor(a)");
const RESHAPE_AS = parseSchema("aten::reshape_as(Tensor(a) self, Tensor other) -> Tensor(a)");
const CONTIGUOUS = parseSchema("aten::contiguous(Tensor(a) self, *, MemoryFormat memory_format=0) -> Tensor(a)");
const CLONE = parseSchema("aten::clone(Tensor self, *, MemoryFormat? memory_format=None) -> Tensor");
const DEVICE = parseSchema("prim::device(Tensor a) -> Device");

/** Views that a tensor must be laid out for: the copies that did so are gone. */
const RESHAPES: ReadonlyMap<string, FunctionSchema> = new Map([
  ["aten::view", RESHAPE],
  ["aten::_unsafe_view", RESHAPE],
  ["aten::view_as", RESHAPE_AS],
]);

/** Operators that read memory as it is laid out. */
const READS_MEMORY = new Set(["aten::as_strided", "aten::view", "aten::view_as_complex", "aten::view_as_real"]);

/**
 * Gives the operators of a lowered graph the form in which Torch can run them. Lowering has taken out what a network does not
 * know of, and Torch does: the layout of memory, which tensors share it, and devices.
 */
export function restoreTorchForms(graph: Graph): void {
  const device = deviceOf(graph);
  for (const node of [...allNodes(graph.block)]) {
    const { schema } = node;
    const reshape = RESHAPES.get(node.kind);
    if (reshape !== undefined && node.inputs.length === 2 && schema?.overload !== "dtype") {
      const replacement = graph.createNode(reshape.name, node.inputs, [TensorType]).insertBefore(node);
      replacement.schema = reshape;
      replacement.output().debugName = node.output().debugName;
      node.output().replaceAllUsesWith(replacement.output());
      node.destroy();
      continue;
    }
    // Operators of users and of libraries may take for granted that their tensors are laid out row by row.
    if (READS_MEMORY.has(node.kind) || !/^(aten|prim|tensorrt)::/.test(node.kind)) {
      node.inputs.forEach((input, i) => {
        if (input.type.kind === "TensorType") node.replaceInput(i, before(node, CONTIGUOUS, input));
      });
    }
    if (schema === undefined) continue;
    if (isMutating(schema)) {
      // Nobody else looks at what it writes to, but the tensor may be a constant, or an argument of the method.
      schema.arguments.forEach((formal, i) => {
        const input = node.inputs[i];
        if (formal.alias?.isWrite === true && input?.type.kind === "TensorType") {
          node.replaceInput(i, before(node, CLONE, input));
        }
      });
    }
    if (device !== undefined) placeOnDevice(node, schema, device);
  }
  if (device !== undefined && !device.hasUses) device.node.destroy();
}

/** Where the module runs is known by its arguments alone: where the model was traced says nothing. */
function placeOnDevice(node: Node, schema: FunctionSchema, device: Value): void {
  const index = schema.arguments.findIndex(({ name, type }) => {
    return name === "device" && (type.kind === "DeviceObjType" || type.kind === "OptionalType");
  });
  const given = node.inputs[index];
  const constant = given === undefined ? undefined : constantOf(given);
  // Without a device, an operator on a tensor keeps that tensor's.
  const follows = constant === null && schema.arguments[0]?.type.kind === "TensorType";
  if ((constant === null && !follows) || constant instanceof Device) node.replaceInput(index, device);
}

/** The device of the method's first tensor. */
function deviceOf(graph: Graph): Value | undefined {
  const tensor = firstTensor(graph);
  if (tensor === undefined) return undefined;
  const node = graph.createNode(DEVICE.name, [tensor], [DeviceObjType]);
  node.schema = DEVICE;
  if (tensor.node.kind === "prim::Param") graph.block.prependNode(node);
  else node.insertAfter(tensor.node);
  return node.output();
}

function firstTensor(graph: Graph): Value | undefined {
  const argument = graph.inputs.find(({ type }) => type.kind === "TensorType");
  if (argument !== undefined) return argument;
  // Arguments are taken apart before all else.
  for (const node of graph.nodes()) {
    const found = node.outputs.find(({ type }) => type.kind === "TensorType");
    if (found !== undefined) return found;
  }
  return undefined;
}

function before(node: Node, schema: FunctionSchema, input: Value): Value {
  const { graph } = node;
  const inputs = [input];
  if (schema === CLONE) inputs.push(graph.createConstant(null, NoneType).insertBefore(node).output());
  const copy = graph.createNode(schema.name, inputs, [TensorType]).insertBefore(node);
  copy.schema = schema;
  return copy.output();
}
