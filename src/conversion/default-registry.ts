import * as attention from "./converters/attention.js";
import * as convolution from "./converters/convolution.js";
import * as matmul from "./converters/matmul.js";
import * as normalization from "./converters/normalization.js";
import * as pooling from "./converters/pooling.js";
import * as recurrent from "./converters/recurrent.js";
import * as resize from "./converters/resize.js";
import * as collection from "./evaluators/collection.js";
import * as metadata from "./evaluators/metadata.js";
import * as number from "./evaluators/number.js";
import * as prim from "./evaluators/prim.js";
import * as string from "./evaluators/string.js";
import { Registry } from "./registry.js";

/** Every module of converters and evaluators that the compiler comes with, by its place under this folder. */
const MODULES: Readonly<Record<string, Record<string, unknown>>> = {
  "converters/attention": attention,
  "converters/convolution": convolution,
  "converters/matmul": matmul,
  "converters/normalization": normalization,
  "converters/pooling": pooling,
  "converters/recurrent": recurrent,
  "converters/resize": resize,
  "evaluators/collection": collection,
  "evaluators/metadata": metadata,
  "evaluators/number": number,
  "evaluators/prim": prim,
  "evaluators/string": string,
};

/** A registry with all built-in converters and evaluators; registering more, or others in their place, is up to the caller. */
export function defaultRegistry(): Registry {
  const registry = new Registry();
  for (const [origin, module] of Object.entries(MODULES)) registry.registerModule(module, origin);
  return registry;
}
