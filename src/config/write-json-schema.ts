import { configJsonSchema } from "./json-schema.js";

// `node --import tsx src/config/write-json-schema.ts > config.schema.json` after a change of the schema.
process.stdout.write(`${JSON.stringify(configJsonSchema(), null, 2)}\n`);
