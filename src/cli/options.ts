import { InvalidArgumentError } from "commander";

/** For an option that is a whole number. */
export function wholeNumber(least: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= least) return value;
    throw new InvalidArgumentError(`It is a whole number, at least ${least}.`);
  };
}

/** For an option that is a tolerance. */
export function tolerance(text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && Number.isFinite(value) && value >= 0) return value;
  throw new InvalidArgumentError("It is a number, at least 0.");
}

/** For names: `a,b` and repeated options alike. */
export function collect(value: string, before: string[]): string[] {
  return [...before, ...value.split(",").filter((part) => part !== "")];
}

/** For what is or holds a file's name, which may have commas. */
export function repeat(value: string, before: string[]): string[] {
  return [...before, value];
}
