import { z } from "zod";
import { type Diagnostic, nearest } from "./diagnostic.js";
import type { ConfigDocument, Path } from "./document.js";

type Issue = z.core.$ZodIssue;

/** How keys at the top begin that are the user's own: places for anchors, as in Compose files. */
export const OWN_KEYS = "x-";

/** Every place where a document differs from its schema: unknown keys, wrong types, unknown words, missing values. */
export function checkShape(schema: z.ZodType, document: ConfigDocument): Diagnostic[] {
  const parsed = schema.safeParse(document.value);
  if (parsed.success) return [];
  const diagnostics: Diagnostic[] = [];
  for (const issue of parsed.error.issues) report(issue, []);
  // An alias repeats the mistakes of what it stands for.
  const places = new Set<string>();
  return diagnostics.filter(({ message, span }) => {
    const place = `${span.offset} ${message}`;
    return !places.has(place) && places.add(place);
  });

  function report(issue: Issue, base: Path): void {
    const path = [...base, ...(issue.path as (string | number)[])];
    const value = valueAt(document.value, path);
    const at = schemaAt(schema, path, document.value);
    const meta = at?.meta();
    const label = meta?.label ?? "a value";
    const error = (message: string, hint: string | null = null, place: Path = path, part: "key" | "value" = "value") =>
      diagnostics.push({
        severity: "error",
        message,
        source: document.source,
        span: document.locate(place, part),
        hint,
      });

    switch (issue.code) {
      case "unrecognized_keys": {
        const known = at instanceof z.ZodObject ? Object.keys(at.shape) : [];
        for (const key of issue.keys) {
          if (path.length === 0 && key.startsWith(OWN_KEYS)) continue;
          const near = nearest(key, known);
          const where = meta?.label === undefined ? "" : ` in ${meta.label}`;
          const hint = near === null ? `the keys here are ${known.join(", ")}` : `did you mean "${near}"?`;
          error(`unknown key "${key}"${where}`, hint, [...path, key], "key");
        }
        return;
      }
      case "invalid_type":
        if (value === undefined) return void error(`"${String(path.at(-1))}" is missing${ofParent(path)}`);
        if (issue.expected === "int") return void error(`expected a whole number, got ${describe(value)}`);
        return void error(
          `expected ${EXPECTED[issue.expected] ?? issue.expected}, got ${describe(value)}`,
          quoteHint(issue.expected, value),
        );
      case "invalid_value": {
        if (value === undefined) return void error(`"${String(path.at(-1))}" is missing${ofParent(path)}`);
        const values = issue.values.map(String);
        const known = (meta?.known ?? values).join(", ");
        const near = typeof value === "string" ? nearest(value, values) : null;
        const meant = near === null ? "" : `did you mean "${near}"? `;
        return void error(`unknown ${label} ${describe(value)}`, `${meant}known: ${known}`);
      }
      case "invalid_union": {
        if (value === undefined) return void error(`"${String(path.at(-1))}" is missing${ofParent(path)}`);
        // The branch that takes the value's type is the one that was meant.
        const meant = issue.errors.find(
          (branch) => !branch.some((inner) => inner.path.length === 0 && inner.code.startsWith("invalid_")),
        );
        const inner = issue.errors.flat();
        const known = meta?.known === undefined ? null : `known: ${meta.known.join(", ")}`;
        if (meant !== undefined) for (const one of meant) report(one, path);
        else if (
          inner.some((one) => one.code === "invalid_type" && one.expected === "int") &&
          typeof value === "number"
        )
          error(`expected a whole number, got ${value}`);
        else if (inner.some((one) => one.code === "invalid_format"))
          error(
            known === null ? `${describe(value)} is not ${label}` : `unknown ${label} ${describe(value)}`,
            known ?? meta?.description ?? null,
          );
        else error(`expected ${label}, got ${describe(value)}`, meta?.description ?? null);
        return;
      }
      case "invalid_format": {
        const known = meta?.known === undefined ? (meta?.description ?? null) : `known: ${meta.known.join(", ")}`;
        return void error(
          meta?.known === undefined ? `${describe(value)} is not ${label}` : `unknown ${label} ${describe(value)}`,
          known,
        );
      }
      case "too_small":
        if (Array.isArray(value)) return void error(`${label} must not be empty`);
        return void error(
          `must be ${issue.inclusive === false ? "more than" : "at least"} ${issue.minimum}, is ${describe(value)}`,
        );
      case "too_big":
        return void error(`must be at most ${issue.maximum}, is ${describe(value)}`);
      default:
        return void error(issue.message);
    }
  }

  function ofParent(path: Path): string {
    const label = schemaAt(schema, path.slice(0, -1), document.value)?.meta()?.label;
    return label === undefined ? "" : ` in ${label}`;
  }
}

const EXPECTED: Readonly<Record<string, string>> = {
  string: "a text",
  number: "a number",
  boolean: "true or false",
  array: "a list",
  object: "keys with values",
  record: "keys with values",
};

function quoteHint(expected: string, value: unknown): string | null {
  if (expected === "array" && (typeof value === "string" || typeof value === "number")) return `write [${value}]`;
  if (expected === "string" && typeof value === "number") return `put it in quotes: "${value}"`;
  return null;
}

function describe(value: unknown): string {
  if (value === null) return "nothing";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "keys with values";
  return typeof value === "string" ? `"${value}"` : String(value);
}

function valueAt(value: unknown, path: Path): unknown {
  let at = value;
  for (const step of path) {
    if (typeof at !== "object" || at === null) return undefined;
    at = (at as Record<string | number, unknown>)[step];
  }
  return at;
}

/** The part of a schema that governs a path; in a union, the member that takes values of the kind found there. */
function schemaAt(schema: z.core.$ZodType, path: Path, root: unknown): z.ZodType | null {
  let at: z.core.$ZodType | undefined = schema;
  let value = root;
  for (let index = 0; ; index++) {
    at = unwrap(at, value, index < path.length);
    const step = path[index];
    if (step === undefined) return at as z.ZodType;
    if (at instanceof z.ZodObject) at = (at.shape as Record<string, z.core.$ZodType>)[step];
    else if (at instanceof z.ZodArray) at = at.element;
    else if (at instanceof z.ZodRecord) at = at.valueType;
    else return null;
    if (at === undefined) return null;
    value = valueAt(value, [step]);
  }
}

function unwrap(schema: z.core.$ZodType, value: unknown, descend: boolean): z.core.$ZodType {
  let at = schema;
  for (;;) {
    if (at instanceof z.ZodOptional) {
      // What is said of an optional value is said on its wrapper, what it is called inside.
      at = at.unwrap();
    } else if (at instanceof z.ZodUnion && (descend || (typeof value === "object" && value !== null))) {
      const member = at.options.find((option) => {
        const inner = option instanceof z.ZodOptional ? option.unwrap() : option;
        return Array.isArray(value) ? inner instanceof z.ZodArray : inner instanceof z.ZodObject;
      });
      if (member === undefined) return at;
      at = member;
    } else return at;
  }
}
