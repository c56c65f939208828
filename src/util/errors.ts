/** A place in a file that a person can open: the user's Python source, a config file, an archive member. */
export interface SourceLocation {
  readonly file: string;
  /** 1-based. */
  readonly line?: number;
  /** 1-based. */
  readonly column?: number;
  /** The text of the line, where it is known. */
  readonly text?: string;
}

/**
 * What went wrong, as a closed set: reporters and exit codes switch on it.
 *
 * - `usage`, `config`: the person's command line or config; exit code 2
 * - `archive`, `parse`, `ir`: a model file that cannot be read
 * - `unsupported-operator`: nothing in the registry converts a node
 * - `unsupported`: a construct, value or argument that the target cannot express
 * - `conversion`: a converter found arguments that make no valid network
 * - `missing-library`, `library`: TensorRT, CUDA or onnxruntime is absent, of the wrong version, or failed
 * - `mismatch`: outputs disagree with the golden ones
 * - `artifact`: something could not be written or verified
 * - `cancelled`, `internal`
 */
export type ErrorCode =
  | "usage"
  | "config"
  | "archive"
  | "parse"
  | "ir"
  | "unsupported-operator"
  | "unsupported"
  | "conversion"
  | "missing-library"
  | "library"
  | "mismatch"
  | "artifact"
  | "cancelled"
  | "internal";

export interface ErrorDetails {
  readonly location?: SourceLocation | undefined;
  /** What the reader can do next: one or two sentences. */
  readonly hint?: string | undefined;
  readonly cause?: unknown;
}

/** Every failure that a user can meet. Its message says what and where; `hint` says what to do next. */
export class TrtorchError extends Error {
  override readonly name: string = "TrtorchError";
  readonly code: ErrorCode;
  readonly location: SourceLocation | undefined;
  readonly hint: string | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.location = details.location;
    this.hint = details.hint;
  }
}

/** `file:line:col`, as far as known. */
export function formatLocation(location: SourceLocation): string {
  return [location.file, location.line, location.column].filter((part) => part !== undefined).join(":");
}

/** The message, and on lines of their own the place with its text, and what to do. */
export function describeProblem({
  message,
  location,
  hint,
}: Pick<TrtorchError, "message" | "location" | "hint">): string {
  const lines = [message];
  if (location !== undefined) lines.push(`  at ${formatLocation(location)}`);
  if (location?.text !== undefined) lines.push(`    ${location.text.trim()}`);
  if (hint !== undefined) lines.push(`  hint: ${hint}`);
  return lines.join("\n");
}

/** What was thrown, in its own words: anything may be. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The exhaustiveness check of a switch over a closed union. */
export function unreachable(value: never): never {
  throw new TrtorchError("internal", `unreachable: ${JSON.stringify(value)}`);
}
