import { ObjectValue, TupleValue } from "../ir/constant.js";
import { type Storage, Tensor } from "../ir/tensor.js";
import { Archive } from "../torchscript/archive.js";
import { unpickle } from "../torchscript/pickle.js";
import { viewOf } from "../torchscript/tensors.js";
import { messageOf, TrtorchError } from "../util/errors.js";
import { dtypeOf, type ExportedProgramJson, SCHEMA_MAJORS, type SymInt, type TensorMeta } from "./schema.js";

/** One program of a `.pt2` archive: its JSON, and its tensors by their names in the module. */
export interface Package {
  readonly file: string;
  readonly program: ExportedProgramJson;
  /** A parameter, buffer or constant; throws a TrtorchError of code `archive` that says what is wrong with it. */
  tensor(kind: "weight" | "constant", name: string): Tensor;
}

/** Where the parts of a program are in the archive. */
interface Layout {
  readonly program: string;
  /** Configs that name a file for each tensor (PyTorch 2.8 and newer)... */
  readonly configs: Readonly<Record<"weight" | "constant", { readonly config: string; readonly folder: string }>>;
  /** ... or a pickled dict of them all. */
  readonly pickles: Readonly<Record<"weight" | "constant", string>>;
}

const DAMAGED = "The file is damaged: copy or download it again, or export the model again.";

/** Reads a program out of an opened archive: the one called `model`, or the only one, or the one asked for. */
export function readPackage(archive: Archive, model: string | undefined): Package {
  const layout = findLayout(archive, model);
  const program = readProgram(archive, layout.program);
  const sources = {
    weight: tensorSource(archive, layout, "weight"),
    constant: tensorSource(archive, layout, "constant"),
  };
  return {
    file: archive.file,
    program,
    tensor(kind, name) {
      // Non-persistent buffers are among the constants.
      const tensor = sources[kind](name);
      if (tensor !== undefined) return tensor;
      throw broken(archive, `the program uses the ${kind} "${name}", which the archive does not hold`);
    },
  };
}

function findLayout(archive: Archive, model: string | undefined): Layout {
  if (archive.has("serialized_exported_program.json")) {
    // PyTorch 2.5 to 2.7.
    return {
      program: "serialized_exported_program.json",
      configs: { weight: { config: "", folder: "" }, constant: { config: "", folder: "" } },
      pickles: { weight: "serialized_state_dict.pt", constant: "serialized_constants.pt" },
    };
  }
  const models = archive.names().flatMap((name) => /^models\/([^/]+)\.json$/.exec(name)?.[1] ?? []);
  const name = model ?? (models.length === 1 ? models[0] : "model");
  if (name === undefined || !models.includes(name)) {
    throw new TrtorchError(
      models.length === 0 ? "archive" : "usage",
      models.length === 0
        ? "the archive holds no exported program (no models/*.json)"
        : `the archive has no model "${name}"; it has ${models.map((other) => `"${other}"`).join(", ")}`,
      { location: { file: archive.file }, hint: models.length === 0 ? DAMAGED : "Say which of them to read." },
    );
  }
  return {
    program: `models/${name}.json`,
    configs: {
      weight: { config: `data/weights/${name}_weights_config.json`, folder: "data/weights/" },
      constant: { config: `data/constants/${name}_constants_config.json`, folder: "data/constants/" },
    },
    pickles: { weight: `data/weights/${name}.pt`, constant: `data/constants/${name}.pt` },
  };
}

function readProgram(archive: Archive, member: string): ExportedProgramJson {
  const program = readJson(archive, member) as Partial<ExportedProgramJson> | null;
  const version = program?.schema_version;
  if (version === undefined || typeof version?.major !== "number")
    throw broken(archive, `${member} has no schema version`);
  if (!SCHEMA_MAJORS.includes(version.major)) {
    const writer = program?.torch_version === undefined ? "" : ` (written by PyTorch ${program.torch_version})`;
    throw new TrtorchError(
      "archive",
      `${member} is of schema version ${version.major}.${version.minor}${writer}; versions ${SCHEMA_MAJORS.join(" and ")} are known`,
      {
        location: { file: archive.file },
        hint:
          version.major > Math.max(...SCHEMA_MAJORS)
            ? "Update trtorch-build, or export the model with PyTorch 2.11."
            : "Export the model again with PyTorch 2.5 or newer.",
      },
    );
  }
  const graph = program?.graph_module?.graph;
  const signature = program?.graph_module?.signature;
  const lists = [graph?.nodes, graph?.inputs, graph?.outputs, signature?.input_specs, signature?.output_specs];
  if (!lists.every(Array.isArray)) throw broken(archive, `${member} has no graph with a signature`);
  return program as ExportedProgramJson;
}

interface PayloadMeta {
  readonly path_name: string;
  readonly use_pickle?: boolean;
  readonly tensor_meta?: TensorMeta | null;
}

function tensorSource(
  archive: Archive,
  layout: Layout,
  kind: "weight" | "constant",
): (name: string) => Tensor | undefined {
  const { config, folder } = layout.configs[kind];
  if (config !== "" && archive.has(config)) {
    const payloads = (readJson(archive, config) as { config?: Readonly<Record<string, PayloadMeta>> } | null)?.config;
    if (payloads === undefined || payloads === null) throw broken(archive, `${config} lists no files`);
    // Tensors that shared memory are in one file, and share it again.
    const storages = new Map<string, Storage>();
    return (name) => {
      const payload = Object.hasOwn(payloads, name) ? payloads[name] : undefined;
      if (payload === undefined) return undefined;
      const path = folder + payload.path_name;
      if (!archive.has(path)) throw broken(archive, `the file ${path} of the ${kind} "${name}" is missing`);
      if (payload.use_pickle === true) return pickledTensor(archive, path, kind, name);
      let storage = storages.get(path);
      if (storage === undefined) {
        storage = { bytes: archive.read(path), key: path };
        storages.set(path, storage);
      }
      return tensorOf(storage, payload.tensor_meta, `the ${kind} "${name}" in ${path}`, archive);
    };
  }
  const pickle = layout.pickles[kind];
  if (!archive.has(pickle))
    throw broken(archive, `the file ${config === "" ? pickle : config} of the ${kind}s is missing`);
  if (archive.size(pickle) === 0) return () => undefined;
  const dict = readPickle(archive, pickle);
  if (!(dict instanceof Map)) throw broken(archive, `${pickle} holds no dict of tensors`);
  return (name) => {
    const value = dict.get(name);
    if (value === undefined || value instanceof Tensor) return value;
    throw broken(archive, `the ${kind} "${name}" in ${pickle} is no tensor`);
  };
}

function tensorOf(storage: Storage, meta: TensorMeta | null | undefined, what: string, archive: Archive): Tensor {
  if (meta === null || meta === undefined) throw broken(archive, `${what} is not described`);
  // Strided, the only one whose bytes are its elements.
  if (meta.layout !== undefined && meta.layout !== 7) {
    throw new TrtorchError("unsupported", `${what} is a sparse tensor`, { location: { file: archive.file } });
  }
  const int = (size: SymInt): number => size?.as_int ?? Number.NaN;
  const layout = {
    dtype: dtypeOf(meta.dtype),
    sizes: meta.sizes.map(int),
    strides: meta.strides.map(int),
    storageOffset: int(meta.storage_offset),
    requiresGrad: meta.requires_grad ?? false,
  };
  return viewOf(storage, layout, what, archive.file);
}

function pickledTensor(archive: Archive, path: string, kind: string, name: string): Tensor {
  const inner = Archive.parse(archive.read(path), `${archive.file}(${path})`);
  const subclass = inner.has("data.pkl") ? subclassIn(inner.text("data.pkl")) : undefined;
  if (subclass !== undefined) {
    throw new TrtorchError("unsupported", `the ${kind} "${name}" is a tensor subclass, ${subclass}`, {
      location: { file: archive.file },
      hint: "Before torch.export: torchao.utils.unwrap_tensor_subclass(model) makes plain tensors of it.",
    });
  }
  const value = unpickle(inner, "data.pkl");
  if (value instanceof Tensor) return value;
  const what = value instanceof ObjectValue ? value.typeName : value instanceof TupleValue ? "a tuple" : "no tensor";
  throw broken(archive, `the ${kind} "${name}" in ${path} is ${what}`);
}

/** The class that a pickle makes with `_rebuild_from_type_v2`, which rebuilds objects of any class by code of its own. */
function subclassIn(pickle: string): string | undefined {
  if (!pickle.includes("ctorch._tensor\n_rebuild_from_type_v2\n")) return undefined;
  const classes = [...pickle.matchAll(/c([\w.]+)\n([A-Z]\w*)\n/g)].map(([, module, name]) => `${module}.${name}`);
  return classes.find((name) => !/^(torch|collections)\./.test(name)) ?? "not a plain tensor";
}

/** A file of `torch.save` within the archive. */
function readPickle(archive: Archive, member: string): ReturnType<typeof unpickle> {
  return unpickle(Archive.parse(archive.read(member), `${archive.file}(${member})`), "data.pkl");
}

function readJson(archive: Archive, member: string): unknown {
  if (!archive.has(member)) throw broken(archive, `the archive has no member ${member}`);
  const text = archive.text(member);
  try {
    return JSON.parse(text);
  } catch (error) {
    try {
      // Python's json writes infinities and NaN as bare words.
      return JSON.parse(
        text.replace(/"(?:[^"\\]|\\.)*"|-?\bInfinity\b|\bNaN\b/g, (word) => (word[0] === '"' ? word : `"${word}"`)),
      );
    } catch {
      throw broken(archive, `${member} is not JSON: ${messageOf(error)}`);
    }
  }
}

function broken(archive: Archive, message: string): TrtorchError {
  return new TrtorchError("archive", message, { location: { file: archive.file }, hint: DAMAGED });
}
