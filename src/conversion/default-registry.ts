import * as prim from "./evaluators/prim.js";
import { Registry } from "./registry.js";

/** Every module of converters and evaluators that the compiler comes with, by its place under this folder. */
const MODULES: Readonly<Record<string, Record<string, unknown>>> = {
  "evaluators/prim": prim,
};

/** A registry with all built-in converters and evaluators; registering more, or others in their place, is up to the caller. */
export function defaultRegistry(): Registry {
  const registry = new Registry();
  for (const [origin, module] of Object.entries(MODULES)) registry.registerModule(module, origin);
  return registry;
}
