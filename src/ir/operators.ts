import { TrtorchError } from "../util/errors.js";
import { type FunctionSchema, operatorName, parseSchema } from "./schema.js";
import { SCHEMA_TABLE } from "./schema-table.js";
import { printType } from "./type.js";

/** Where the schemas of one operator are in the table's text, or the schemas once somebody asked for them. */
type Entry = { readonly start: number; end: number } | FunctionSchema[];

let index: Map<string, Entry> | undefined;

/** One pass over the table's line starts. Lines of one operator are neighbours, so an entry is a stretch of text. */
function table(): Map<string, Entry> {
  if (index !== undefined) return index;
  index = new Map();
  let last: { start: number; end: number } | undefined;
  let lastName = "";
  for (let start = 1; start < SCHEMA_TABLE.length; ) {
    let end = SCHEMA_TABLE.indexOf("\n", start);
    if (end < 0) end = SCHEMA_TABLE.length;
    const length = lastName.length;
    const next = SCHEMA_TABLE.charCodeAt(start + length);
    if (last !== undefined && (next === 0x28 || next === 0x2e) && SCHEMA_TABLE.startsWith(lastName, start)) {
      last.end = end;
    } else {
      const paren = SCHEMA_TABLE.indexOf("(", start);
      const dot = SCHEMA_TABLE.slice(start, paren).indexOf(".");
      lastName = SCHEMA_TABLE.slice(start, dot < 0 ? paren : start + dot);
      last = { start, end };
      index.set(lastName, last);
    }
    start = end + 1;
  }
  return index;
}

/**
 * The overloads of an operator (`aten::add`) in the order of PyTorch's operator table, which is the order in which
 * overload resolution tries them. Empty for an operator that the table does not hold.
 */
export function findSchemas(name: string): readonly FunctionSchema[] {
  const entry = table().get(name);
  if (entry === undefined) return [];
  if (Array.isArray(entry)) return entry;
  const schemas = SCHEMA_TABLE.slice(entry.start, entry.end).split("\n").map(parseSchema);
  table().set(name, schemas);
  return schemas;
}

/** The one schema with this name and overload: `aten::add.Tensor`. */
export function findSchema(operator: string): FunctionSchema | undefined {
  const dot = operator.indexOf(".");
  return findSchemas(dot < 0 ? operator : operator.slice(0, dot)).find((schema) => operatorName(schema) === operator);
}

/**
 * Makes an operator known that PyTorch's table lacks: a user's own. Throws `usage` when the table has another schema
 * under the same name and overload.
 */
export function registerSchema(text: string | FunctionSchema): FunctionSchema {
  const schema = typeof text === "string" ? parseSchema(text) : text;
  const known = findSchemas(schema.name);
  const same = known.find((other) => other.overload === schema.overload);
  if (same === undefined) table().set(schema.name, [...known, schema]);
  else if (signature(same) !== signature(schema)) {
    throw new TrtorchError("usage", `${operatorName(schema)} has another schema already`, {
      hint: "Give the operator the schema with which it was registered in PyTorch, or another overload name.",
    });
  }
  return same ?? schema;
}

/** Makes a schema unknown again that {@link registerSchema} has given. */
export function forgetSchema(schema: FunctionSchema): void {
  const left = findSchemas(schema.name).filter((other) => other !== schema);
  if (left.length === 0) table().delete(schema.name);
  else table().set(schema.name, left);
}

function signature(schema: FunctionSchema): string {
  const spell = (list: FunctionSchema["arguments"]): string => list.map((a) => `${printType(a.type)} ${a.name}`).join();
  return `${spell(schema.arguments)} -> ${schema.returns.map((a) => printType(a.type)).join()}`;
}
