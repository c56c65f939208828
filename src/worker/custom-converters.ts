import { relative } from "node:path";
import { fileURLToPath } from "node:url";
import { defaultRegistry } from "../conversion/default-registry.js";
import { type Converter, isConverter, type Registry } from "../conversion/registry.js";
import { findSchemas, forgetSchema, registerSchema } from "../ir/operators.js";
import { type FunctionSchema, operatorName } from "../ir/schema.js";
import { messageOf, TrtorchError } from "../util/errors.js";

/** The user's own operators in the files that this process has loaded last. The next job's files may give them other schemas, or none. */
const registered: FunctionSchema[] = [];

/**
 * The built-in converters and those of the user's files, which win. Files may be TypeScript; `trtorch-build` in their
 * imports is this package. An operator of the user's own becomes known by the schema of its converter, so load files
 * before models that use it; it is forgotten when others are loaded.
 */
export async function loadRegistry(files: readonly string[]): Promise<Registry> {
  for (const schema of registered.splice(0)) forgetSchema(schema);
  const registry = defaultRegistry();
  if (files.length === 0) return registry;
  const { createJiti } = await import("jiti");
  const jiti = createJiti(import.meta.url, {
    alias: {
      "trtorch-build": fileURLToPath(
        new URL(import.meta.url.endsWith(".ts") ? "../index.ts" : "../index.js", import.meta.url),
      ),
    },
  });
  for (const file of files) {
    const module = await jiti.import<Record<string, unknown>>(file).catch((cause: unknown) => {
      throw new TrtorchError("config", `cannot load converters from ${file}: ${messageOf(cause)}`, {
        location: { file },
        cause,
      });
    });
    const exports = Object.entries(module).map(([name, exported]) => [name, guarded(exported, file)]);
    registry.registerModule(Object.fromEntries(exports), relative(process.cwd(), file));
    for (const exported of Object.values(module).flat()) {
      if (isConverter(exported) && isOwn(exported.schema.name)) registered.push(registerSchema(exported.schema));
    }
  }
  return registry;
}

/** Whether PyTorch's table lacks an operator, of which there may be several overloads. */
function isOwn(name: string): boolean {
  return registered.some((schema) => schema.name === name) || findSchemas(name).length === 0;
}

/** A converter of the user's whose own mistakes are told as the user's, with their place in the file. */
function guarded(exported: unknown, file: string): unknown {
  if (Array.isArray(exported)) return exported.map((each) => guarded(each, file));
  if (!isConverter(exported)) return exported;
  const { convert } = exported;
  const guard: Converter["convert"] = (ctx, args) => {
    try {
      return convert(ctx, args);
    } catch (cause) {
      if (cause instanceof TrtorchError) throw cause;
      const { message, stack = "" } = cause instanceof Error ? cause : new Error(String(cause));
      const [, line, column] = /^:(\d+):(\d+)/.exec(stack.split(file)[1] ?? "") ?? [];
      const place = line === undefined ? {} : { line: Number(line), column: Number(column) };
      throw new TrtorchError("config", `the converter of ${operatorName(exported.schema)} threw: ${message}`, {
        location: { file, ...place },
        hint: "To refuse an operator as it is used, throw a TrtorchError of code unsupported.",
        cause,
      });
    }
  };
  return { ...exported, convert: guard };
}
