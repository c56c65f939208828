import { relative } from "node:path";
import { fileURLToPath } from "node:url";
import { defaultRegistry } from "../conversion/default-registry.js";
import { isConverter, type Registry } from "../conversion/registry.js";
import { findSchemas, registerSchema } from "../ir/operators.js";
import { printSchema } from "../ir/schema.js";
import { TrtorchError } from "../util/errors.js";

/**
 * The built-in converters and those of the user's files, which win. Files may be TypeScript; `trtorch-build` in their
 * imports is this package. An operator of the user's own becomes known by the schema of its converter, so load files
 * before models that use it.
 */
export async function loadRegistry(files: readonly string[]): Promise<Registry> {
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
      throw new TrtorchError(
        "config",
        `cannot load converters from ${file}: ${cause instanceof Error ? cause.message : String(cause)}`,
        {
          location: { file },
          cause,
        },
      );
    });
    registry.registerModule(module, relative(process.cwd(), file));
    for (const exported of Object.values(module).flat()) {
      if (isConverter(exported) && findSchemas(exported.schema.name).length === 0)
        registerSchema(printSchema(exported.schema));
    }
  }
  return registry;
}
