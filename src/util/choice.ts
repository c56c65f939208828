import { TrtorchError } from "./errors.js";

/**
 * The index of `value` among the values that an option may have; `undefined` stands for the first. Throws `usage` for any other:
 * what JavaScript hands over, no type has checked.
 */
export function indexOfChoice(option: string, value: string | undefined, choices: readonly string[]): number {
  if (value === undefined) return 0;
  const index = choices.indexOf(value);
  if (index >= 0) return index;
  throw new TrtorchError("usage", `${option} is "${value}"`, { hint: `It is one of ${choices.join(", ")}.` });
}
