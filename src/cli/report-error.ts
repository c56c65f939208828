import { position } from "../config/diagnostic.js";
import { formatLocation, messageOf, TrtorchError } from "../util/errors.js";
import { describeRefusal } from "../util/system-error.js";
import type { CliContext, ExitCode } from "./context.js";
import { ConfigError } from "./project.js";

/** Tells a person, or with `json` a program, why a command ended. Only our own bugs come with a stack. */
export function reportError(thrown: unknown, json: boolean, context: CliContext): ExitCode {
  const error = ofTheSystem(thrown) ?? thrown;
  const code = error instanceof TrtorchError ? error.code : "internal";
  if (json) context.stdout(`${JSON.stringify(toJson(error, code))}\n`);
  else context.stderr(`${toText(error, code)}\n`);
  if (code === "usage" || code === "config") return 2;
  return code === "cancelled" ? 130 : 1;
}

/** What the machine refuses, as a full disk or a folder of somebody else, is no bug of ours. */
function ofTheSystem(error: unknown): TrtorchError | null {
  if (!(error instanceof Error) || error instanceof TrtorchError) return null;
  const { code, path } = error as NodeJS.ErrnoException;
  const refusal = describeRefusal(code);
  if (refusal === undefined || path === undefined) return null;
  return new TrtorchError("artifact", `cannot use ${path}: ${refusal.reason}`, { cause: error, hint: refusal.hint });
}

function toText(error: unknown, code: string): string {
  if (error instanceof ConfigError) return error.message;
  if (error instanceof TrtorchError && code !== "internal") {
    const place = error.location === undefined ? "" : `${formatLocation(error.location)}: `;
    return `${place}error: ${error.message}${error.hint === undefined ? "" : `\n  hint: ${error.hint}`}`;
  }
  const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return `internal error, please report it with this text: ${detail}`;
}

function toJson(error: unknown, code: string): object {
  if (error instanceof ConfigError) {
    const diagnostics = error.diagnostics.map(({ severity, message, source, span, hint }) => ({
      severity,
      message,
      file: source.name,
      line: position(source, span.offset).line,
      column: position(source, span.offset).column,
      length: span.length,
      hint,
    }));
    return { error: { code, message: `${diagnostics.length} mistakes`, diagnostics } };
  }
  const message = messageOf(error);
  const details = error instanceof TrtorchError ? { hint: error.hint, location: error.location } : {};
  return { error: { code, message, ...details } };
}
