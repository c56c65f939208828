import { type Diagnostic, nearest, type Result, type Span, type TextSource } from "./diagnostic.js";
import type { ConfigDocument, Path } from "./document.js";
import { DTYPE_NAMES, keysOf } from "./names.js";
import type { ConfigText, InputText, ModelText } from "./schema.js";

/** Models named on the command line instead of in a config. */
export interface CommandLineModels {
  readonly files: readonly string[];
  /** `--input`, in the method's order. */
  readonly inputs: readonly string[];
  readonly precisions: readonly string[];
  /** `sm_86`, or `sm_86+sm_89` for one engine for both. */
  readonly targets: readonly string[];
  readonly backend?: string | undefined;
  readonly method?: string | undefined;
  readonly golden?: string | undefined;
  readonly emit: readonly string[];
  readonly converters: readonly string[];
}

/**
 * The config that a command line stands for, so that it is checked as a file's is, with diagnostics that point into the
 * command line.
 */
export function parseCommandLine(models: CommandLineModels): Result<ConfigDocument, Diagnostic[]> {
  const writer = new CommandText();
  const diagnostics: Diagnostic[] = [];
  const sources = models.files.map((file) => writer.add(file));
  const flag = (name: string, value: string) => {
    writer.add(name);
    return writer.add(value);
  };
  const inputs = models.inputs.map((input) => ({ text: input, span: flag("--input", input) }));
  const spans = new Map<string, Span>();
  const remember = (key: string, name: string, values: readonly string[]) => {
    for (const [index, value] of values.entries()) spans.set(`${key}.${index}`, flag(name, value));
  };
  remember("precisions", "--precision", models.precisions);
  remember("targets", "--target", models.targets);
  remember("emit", "--emit", models.emit);
  remember("converters", "--converters", models.converters);
  for (const key of ["backend", "method", "golden"] as const) {
    if (models[key] !== undefined) spans.set(key, flag(`--${key}`, models[key]));
  }

  const source: TextSource = { name: "command line", text: writer.text };
  const parsed: InputText[] = [];
  for (const { text, span } of inputs) {
    const result = parseInput(text, source, span.offset);
    if (result.ok) parsed.push(result.value);
    else diagnostics.push(...result.error);
  }
  if (diagnostics.length > 0) return { ok: false, error: diagnostics };

  // The words are not checked here; what is wrong is found with the config's own checks.
  const options = {
    ...(parsed.length > 0 && { inputs: parsed }),
    ...(models.precisions.length > 0 && { precisions: models.precisions }),
    ...(models.targets.length > 0 && {
      targets: models.targets.map((target) => (target.includes("+") ? target.split("+") : target)),
    }),
    ...(models.emit.length > 0 && { emit: models.emit }),
    ...(models.converters.length > 0 && { converters: models.converters }),
    ...(models.backend !== undefined && { backend: models.backend }),
    ...(models.method !== undefined && { method: models.method }),
    ...(models.golden !== undefined && { golden: models.golden }),
  } as Omit<ModelText, "source">;
  const value: ConfigText = {
    version: 1,
    models: models.files.map((file): ModelText => ({ source: file, ...options })),
  };

  const locate = (path: Path): Span => {
    const [, model, key, index] = path;
    const file = sources[Number(model)] ?? { offset: 0, length: writer.text.length };
    if (key === "inputs") return inputs[Number(index)]?.span ?? file;
    return spans.get(`${key}.${index}`) ?? spans.get(String(key)) ?? file;
  };
  return { ok: true, value: { source, value, locate } };
}

/**
 * Reads `x=1x3x224x224:8x3x224x224:32x3x224x224@fp16`: a name, one shape or min, opt and max, a dtype; only a shape is needed.
 * `scalar` is the shape of rank 0.
 */
export function parseInput(text: string, source: TextSource, offset: number): Result<InputText, Diagnostic[]> {
  const fail = (message: string, hint: string, at: number, length: number): Result<never, Diagnostic[]> => ({
    ok: false,
    error: [{ severity: "error", message, source, span: { offset: offset + at, length: Math.max(1, length) }, hint }],
  });
  const equals = text.indexOf("=");
  const name = equals === -1 ? null : text.slice(0, equals);
  if (name === "") return fail("the name before = is empty", "x=1x3x224x224, or only 1x3x224x224", 0, 1);

  const at = text.lastIndexOf("@");
  const dtype = at === -1 ? null : text.slice(at + 1);
  if (dtype !== null && !(dtype in DTYPE_NAMES)) {
    const near = nearest(dtype, keysOf(DTYPE_NAMES));
    const known = keysOf(DTYPE_NAMES).slice(0, 10).join(", ");
    const hint = near === null ? `known: ${known}` : `did you mean "${near}"? known: ${known}`;
    return fail(`unknown dtype "${dtype}"`, hint, at + 1, dtype.length);
  }

  const start = equals + 1;
  const shapes: number[][] = [];
  let position = start;
  for (const part of text.slice(start, at === -1 ? undefined : at).split(":")) {
    if (part !== "scalar" && !/^\d+(x\d+)*$/.test(part)) {
      const hint = "dims with x between them, as 1x3x224x224; a range is min:opt:max";
      return fail(`"${part}" is not a shape`, hint, position, part.length);
    }
    shapes.push(part === "scalar" ? [] : part.split("x").map(Number));
    position += part.length + 1;
  }
  const [min, opt, max] = shapes;
  if (min === undefined || shapes.length === 2 || shapes.length > 3) {
    const hint = "one shape, or three: min:opt:max";
    return fail(`${shapes.length} shapes for one input`, hint, start, position - 1 - start);
  }
  return {
    ok: true,
    value: {
      ...(name !== null && { name }),
      ...(dtype !== null && { dtype: dtype as keyof typeof DTYPE_NAMES }),
      ...(opt !== undefined && max !== undefined ? { min, opt, max } : { shape: min }),
    },
  };
}

/** The command line as one text, with the place of each word. */
class CommandText {
  text = "trtorch-build";

  add(word: string): Span {
    this.text += " ";
    const span = { offset: this.text.length, length: word.length };
    this.text += word;
    return span;
  }
}
