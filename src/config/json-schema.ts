import { z } from "zod";
import { configSchema } from "./schema.js";
import { OWN_KEYS } from "./shape-check.js";

/** The JSON Schema (2020-12) of the config, for editors; `config.schema.json` holds it. */
export function configJsonSchema(): Record<string, unknown> {
  return z.toJSONSchema(configSchema, {
    io: "input",
    // What only our own messages use.
    override: ({ jsonSchema, path }) => {
      if (path.length === 0) jsonSchema.patternProperties = { [`^${OWN_KEYS}`]: {} };
      delete jsonSchema.label;
      delete jsonSchema.known;
    },
  });
}
