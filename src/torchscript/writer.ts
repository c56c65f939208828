import type { Graph } from "../ir/graph.js";
import type { Tensor } from "../ir/tensor.js";
import { Names } from "../util/names.js";
import { writeZip, type ZipContent } from "../util/zip.js";
import { PickleWriter } from "./pickle-writer.js";
import { namedTuplesOf, printMethod, printNamedTuple } from "./source-writer.js";

/** An attribute whose value is an object of a C++ class, as the class serializes itself: a list of strings. */
export interface ObjectAttribute {
  readonly name: string;
  /** `__torch__.torch.classes.tensorrt.Engine`. */
  readonly className: string;
  /** Text, or bytes in pieces. */
  readonly state: readonly (string | readonly Uint8Array[])[];
}

/** A module to write. Constant tensors of its graphs become buffers. */
export interface WrittenModule {
  /** `__torch__.torchvision.models.resnet.ResNet_trt`. */
  readonly typeName: string;
  readonly objects: readonly ObjectAttribute[];
  /** Graphs whose first input is the module itself, in the names of the methods. */
  readonly methods: readonly { readonly name: string; readonly graph: Graph }[];
  /** Where tensors are put when the file is loaded without a map_location: `cpu`, `cuda:0`. */
  readonly device: string;
}

/**
 * The format version from which on PyTorch takes every operator as its newest release means it. Files without operators of
 * PyTorch are of version 3, which every release reads.
 */
const OPERATORS_VERSION = 10;
const ENGINES_VERSION = 3;

/** A TorchScript archive that `torch.jit.load` reads, in pieces. */
export function writeTorchScript(module: WrittenModule): Generator<Uint8Array> {
  const buffers = new Buffers(module.objects.map(({ name }) => name));
  const methods = module.methods.map(({ name, graph }) => printMethod(name, graph, buffers));
  const tensors = [...buffers.entries()];
  const dot = module.typeName.lastIndexOf(".");
  const source = [
    `class ${module.typeName.slice(dot + 1)}(Module):`,
    "  __parameters__ = []",
    `  __buffers__ = [${tensors.map(([name]) => `"${name}", `).join("")}]`,
    ...tensors.map(([name]) => `  ${name} : Tensor`),
    "  training : bool",
    "  _is_full_backward_hook : Optional[bool]",
    ...module.objects.map(({ name, className }) => `  ${name} : ${className}`),
    ...methods,
  ].join("\n");
  const data = new PickleWriter(module.device);
  data.newObject(module.typeName).dict(() => {
    for (const [name, tensor] of tensors) data.string(name).tensor(tensor);
    data.string("training").bool(false);
    data.string("_is_full_backward_hook").none();
    for (const object of module.objects) writeObject(data, object);
  });
  data.build();
  const text = (content: string): Uint8Array[] => [Buffer.from(content)];
  // A class stands in the file of its module's name; those of NamedTuples before those that use them.
  const files = new Map<string, string[]>();
  const define = (qualifiedName: string, definition: string): void => {
    const path = `code/${qualifiedName.slice(0, qualifiedName.lastIndexOf(".")).replaceAll(".", "/")}.py`;
    files.set(path, [...(files.get(path) ?? []), definition]);
  };
  const tuples = new Map(
    module.methods.flatMap(({ graph }) => namedTuplesOf(graph)).map((type) => [type.name, printNamedTuple(type)]),
  );
  for (const [name, definition] of tuples) define(name, definition);
  define(module.typeName, source);
  const members: ZipContent[] = [
    { name: "data.pkl", content: data.finish() },
    ...[...files].map(([name, definitions]) => ({ name, content: text(definitions.join("\n")) })),
    ...data.storages.map((bytes, key) => ({ name: `data/${key}`, content: [bytes] })),
    { name: "constants.pkl", content: new PickleWriter().emptyTuple().finish() },
    { name: "version", content: text(`${usesOperators(module) ? OPERATORS_VERSION : ENGINES_VERSION}\n`) },
    { name: "byteorder", content: text("little") },
  ];
  const folder = module.typeName.slice(dot + 1);
  return writeZip(members.map(({ name, content }) => ({ name: `${folder}/${name}`, content })));
}

/** `torch.jit.save` tags the list with its type; PyTorch then need not guess that of an empty one. */
function writeObject(data: PickleWriter, { name, className, state }: ObjectAttribute): void {
  data.string(name).newObject(className);
  data
    .global("torch.jit._pickle", "restore_type_tag")
    .tuple(() => {
      data.list(() => {
        for (const field of state) data.string(field);
      });
      data.string("List[str]");
    })
    .reduce()
    .build();
}

function usesOperators(module: WrittenModule): boolean {
  return module.methods.some(({ graph }) => [...graph.nodes()].some((node) => node.kind.startsWith("aten::")));
}

/** Names constant tensors as they are met. */
class Buffers {
  readonly #names = new Map<Tensor, string>();
  readonly #unique: Names;

  constructor(taken: readonly string[]) {
    this.#unique = new Names("_", 1, [...taken, "training", "_is_full_backward_hook", "forward"]);
  }

  readonly attributeOf = (tensor: Tensor, debugName: string | undefined): string => {
    const known = this.#names.get(tensor);
    if (known !== undefined) return known;
    const stem = (debugName ?? "").replace(/^self\./, "").replace(/\W/g, "_");
    const name = this.#unique.unique(/^[A-Za-z]/.test(stem) ? stem : `constant${stem === "" ? "" : `_${stem}`}`);
    this.#names.set(tensor, name);
    return name;
  };

  *entries(): Generator<[string, Tensor]> {
    for (const [tensor, name] of this.#names) yield [name, tensor];
  }
}
