import { TrtorchError } from "./errors.js";

/** The index of `value` among the values that an option may have. Throws `usage` for any other: JavaScript has no types. */
export function indexOfChoice(option: string, value: string, choices: readonly string[]): number {
  const index = choices.indexOf(value);
  if (index >= 0) return index;
  throw new TrtorchError("usage", `${option} is "${value}"`, { hint: `It is one of ${choices.join(", ")}.` });
}
