import { z } from "zod";
import { configSchema } from "./schema.js";

/** The JSON Schema (2020-12) of the config, for editors; `config.schema.json` holds it. */
export function configJsonSchema(): Record<string, unknown> {
  return z.toJSONSchema(configSchema, {
    io: "input",
    // What only our own messages use.
    override: ({ jsonSchema }) => {
      delete jsonSchema.label;
      delete jsonSchema.known;
    },
  });
}
