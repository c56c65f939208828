import { z } from "zod";
import { ARTIFACTS, BACKENDS, MUTATED_BUFFERS } from "../plan/job.js";
import { DTYPE_NAMES, keysOf, PRECISION_NAMES } from "./names.js";

declare module "zod" {
  interface GlobalMeta {
    /** What a value is called in messages: "precision", "a size". */
    label?: string;
    /** What a message names as possible values, where the schema itself takes more spellings. */
    known?: readonly string[];
  }
}

const dim = z.int().min(0).meta({ label: "a dim" });

const dimRange = z
  .strictObject({
    min: dim,
    opt: dim,
    max: dim,
    symbol: z.string().optional().meta({ description: "Dims with the same symbol are always equal to each other." }),
  })
  .meta({ label: "a range of a dim" });

const shape = z
  .array(z.union([dim, dimRange]).meta({ label: "a dim" }))
  .meta({ label: "a shape", description: "Dims, each a number or a range." });
const staticShape = z.array(dim).meta({ label: "a shape" });

const dtype = z.enum(keysOf(DTYPE_NAMES)).meta({
  label: "dtype",
  known: keysOf(DTYPE_NAMES).slice(0, 10),
  description: "float32 where no dtype is given or known.",
});

export const input = z
  .union([
    shape,
    z
      .strictObject({
        name: z.string().optional().meta({ description: "The method's own name where none is given." }),
        dtype: dtype.optional(),
        shape: shape.optional(),
        min: staticShape.optional(),
        opt: staticShape.optional(),
        max: staticShape.optional(),
      })
      .meta({ label: "an input" }),
  ])
  .meta({
    label: "an input",
    description: "a shape as [1, 3, 224, 224], or keys: name, dtype, and shape or min, opt and max",
  });

const bytes = z
  .union([z.int().min(0), z.string().regex(/^\d+(\.\d+)?\s*([KkMmGgTt]i?)?[Bb]?$/)])
  .meta({ label: "a size", description: "Bytes, or a number with a unit: 512MiB, 4GiB." });

const duration = z
  .union([z.number().positive(), z.string().regex(/^(?=.*[1-9])\d+(\.\d+)?\s*(s|m|h)$/)])
  .meta({ label: "a duration", description: "Seconds, or a number with a unit: 90s, 30m, 2h." });

export const backend = z.enum(BACKENDS).meta({ label: "backend" });

const targetName = z
  .string()
  .regex(/^(sm_?\d{2,3}|device|cpu)$/)
  .meta({ label: "target", known: ["sm_86", "device", "cpu"] });

export const targets = z
  .array(z.union([targetName, z.array(targetName).min(1)]).meta({ label: "target", known: ["sm_86", "device", "cpu"] }))
  .min(1)
  .meta({
    label: "a list of targets",
    description:
      "sm_86 and so on, device (the GPUs of this machine), cpu. A list in the list is one engine for all of its SMs.",
  });

export const precisions = z
  .array(z.enum(keysOf(PRECISION_NAMES)).meta({ label: "precision", known: ["fp32", "fp16", "bf16"] }))
  .min(1)
  .meta({ label: "a list of precisions" });

export const converters = z.array(z.string()).meta({
  label: "a list of files",
  description: "TypeScript or JavaScript files with converters for operators; globs are read.",
});

const profile = z
  .record(z.string(), z.strictObject({ min: staticShape, opt: staticShape, max: staticShape }))
  .meta({ label: "a profile", description: "For each input, by name or index, its min, opt and max." });

const builder = z
  .strictObject({
    workspace: bytes.optional().meta({ description: "The most memory that a tactic may use." }),
    optimization_level: z.int().min(0).max(5).optional(),
    avg_timing_iterations: z.int().min(1).optional().meta({ description: "How often each tactic is timed." }),
    max_aux_streams: z
      .int()
      .min(0)
      .optional()
      .meta({ description: "Streams beside the first that an engine may use." }),
    timing_cache: z.boolean().optional().meta({ description: "Keep kernel timings for later builds (default true)." }),
    tf32: z.boolean().optional().meta({ description: "Allow TF32 in fp32 products (default true, as in TensorRT)." }),
    sparsity: z.boolean().optional(),
    refit: z.boolean().optional(),
    strip_plan: z.boolean().optional(),
    version_compatible: z
      .boolean()
      .optional()
      .meta({ description: "Engines for this release of TensorRT and later ones." }),
    exclude_lean_runtime: z.boolean().optional().meta({
      description:
        "Leave the runtime out of a version-compatible engine: smaller, and run by a TensorRT lean runtime alone.",
    }),
    hardware_compatible: z.enum(["none", "ampere_plus", "same_compute_capability"]).meta({ label: "level" }).optional(),
    profiling_verbosity: z
      .enum(["layer_names_only", "none", "detailed"])
      .meta({ label: "verbosity", description: "What the engine tells profilers of its layers." })
      .optional(),
    dla: z.strictObject({ core: z.int().min(0), gpu_fallback: z.boolean().optional() }).optional(),
    profiles: z.array(profile).optional(),
  })
  .meta({ label: "builder settings" });

const fallback = z
  .union([
    z.literal(false),
    z.strictObject({
      min_block_size: z.int().min(1).optional(),
      torch_executed_ops: z.array(z.string()).optional(),
      torch_executed_modules: z.array(z.string()).optional(),
    }),
  ])
  .meta({
    label: "false or keys",
    description:
      "What may stay with Torch (min_block_size, torch_executed_ops, torch_executed_modules); false: all in TensorRT, or fail.",
  });

const tolerance = z
  .strictObject({ rtol: z.number().min(0).optional(), atol: z.number().min(0).optional() })
  .meta({ label: "a tolerance", description: "max|error| <= atol + rtol * (1 + max|ref|)" });

const modelOptions = {
  method: z.string().optional(),
  inputs: z.array(input).optional().meta({ description: "In the method's order." }),
  fallback: fallback.optional(),
  mutated_buffers: z.enum(MUTATED_BUFFERS).optional().meta({
    label: "mode",
    description:
      "Buffers and inputs that a torch.export program writes to: an error (refuse, the default), their new values as outputs, or buffers as inputs and outputs.",
  }),
  golden: z
    .string()
    .optional()
    .meta({ description: "A .npz with in0… and out0…; {dir}, {parent} and {stem} are the source's." }),
  tolerance: tolerance.optional(),
  torch_tensorrt: z
    .string()
    .regex(/^\d+\.\d+$/)
    .optional()
    .meta({ label: "a release", description: 'Whose runtime loads the wrapped module: "2.11".' }),
  emit: z
    .array(z.enum(ARTIFACTS).meta({ label: "artifact" }))
    .min(1)
    .optional(),
  builder: builder.optional(),
  fp32_ops: z
    .array(z.string())
    .optional()
    .meta({ description: "Operators or modules that stay fp32 at fp16 and bf16." }),
  requires: z.strictObject({ min_memory: bytes.optional() }).optional(),
  timeout: duration.optional(),
  retries: z.int().min(0).optional(),
};

const kinds = {
  backend: backend.optional(),
  targets: targets.optional(),
  precisions: precisions.optional(),
  converters: converters.optional(),
};

export const model = z
  .strictObject({
    name: z
      .string()
      .optional()
      .meta({ description: 'The folder of its artifacts; {stem} and {parent} are read. Default "{stem}".' }),
    source: z.string().meta({ description: "A .ts or .pt2 file, or a glob." }),
    ...kinds,
    ...modelOptions,
  })
  .meta({ label: "a model" });

const remote = z.union([
  z.string(),
  z.strictObject({ location: z.string(), read: z.boolean().optional(), write: z.boolean().optional() }),
]);

/** The config as it is written. */
export const configSchema = z
  .strictObject({
    $schema: z.string().optional(),
    version: z.literal(1).meta({ label: "version" }),
    out_dir: z.string().optional(),
    cache_dir: z.string().optional(),
    ...kinds,
    defaults: z
      .strictObject(modelOptions)
      .optional()
      .meta({ label: "defaults", description: "Options of every model." }),
    models: z.array(model).min(1).meta({ label: "a list of models" }),
    concurrency: z.int().min(1).optional().meta({ description: "CPU-only jobs at once; default: the cores." }),
    devices: z.array(z.string()).optional().meta({ description: "UUIDs or indices of the GPUs to use; default: all." }),
    on_failure: z.enum(["finish", "continue", "kill"]).meta({ label: "mode" }).optional(),
    store: z.array(remote).optional().meta({ description: "Shared stores: URLs or folders." }),
  })
  .meta({ label: "the config", title: "trtorch-build config", description: "Models to compile to TensorRT engines." });

export type ConfigText = z.input<typeof configSchema>;
export type ModelText = z.input<typeof model>;
export type InputText = z.input<typeof input>;
