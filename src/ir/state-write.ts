import { TrtorchError } from "../util/errors.js";
import type { SourceRange } from "./graph.js";

/** A write to a tensor that outlives the call. */
export interface StateWrite {
  readonly what: "buffer" | "parameter" | "input";
  readonly name: string;
  readonly location: { readonly file: string; readonly line?: number } | undefined;
}

/** Batch normalization writes to these in training mode only. */
const BATCH_NORM = /(^|\.)(running_mean|running_var|num_batches_tracked)$/;

/** An engine would drop the write, and the next run would start from what the file holds. `remedy` ends the hint. */
export function stateWriteError({ what, name, location }: StateWrite, remedy: string): TrtorchError {
  const hint =
    what === "input"
      ? `Clone the input before it is written to${remedy}`
      : BATCH_NORM.test(name)
        ? "The model was saved in training mode: call model.eval() first."
        : `Make it an input and an output of the method${remedy}`;
  return new TrtorchError(
    "unsupported",
    `the program writes to its ${what} "${name}", and an engine keeps nothing between runs`,
    { ...(location && { location }), hint },
  );
}

/** `model.py:12`, for messages. */
export function placeOf(range: SourceRange | undefined): { file: string; line?: number; text?: string } | undefined {
  if (range === undefined || range.file === "") return undefined;
  return { file: range.file, line: range.line, ...(range.text === undefined ? {} : { text: range.text }) };
}
