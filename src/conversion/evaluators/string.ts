import { Device, EnumValue, TupleValue } from "../../ir/constant.js";
import type { Type } from "../../ir/type.js";
import { describeValue } from "../arguments.js";
import { evaluator, nodeEvaluator } from "../registry.js";
import { type IValue, Scalar } from "../values.js";

/** Python's `str` methods as far as TorchScript has them; models use them in messages and in choices by name. */
export const methods = [
  evaluator("aten::upper(str self) -> str", (_ctx, { self }) => self.toUpperCase()),
  evaluator("aten::lower(str self) -> str", (_ctx, { self }) => self.toLowerCase()),
  evaluator(
    "aten::capitalize(str self) -> str",
    (_ctx, { self }) => self.charAt(0).toUpperCase() + self.slice(1).toLowerCase(),
  ),
  evaluator("aten::strip(str self, str chars=' ') -> str", (_ctx, { self, chars }) => strip(self, chars, true, true)),
  evaluator("aten::lstrip(str self, str chars=' ') -> str", (_ctx, { self, chars }) => strip(self, chars, true, false)),
  evaluator("aten::rstrip(str self, str chars=' ') -> str", (_ctx, { self, chars }) => strip(self, chars, false, true)),
  evaluator("aten::replace(str self, str old, str new, int max=-1) -> str", (_ctx, args) => {
    const parts = args.self.split(args.old);
    if (args.max < 0 || parts.length - 1 <= args.max) return parts.join(args.new);
    return parts.slice(0, args.max + 1).join(args.new) + args.old + parts.slice(args.max + 1).join(args.old);
  }),
  evaluator("aten::split.str(str self, str? separator=None, int max=-1) -> str[]", (_ctx, { self, separator, max }) => {
    const parts = separator === null ? self.trim().split(/\s+/).filter(Boolean) : self.split(separator);
    if (max < 0 || parts.length - 1 <= max) return parts;
    return [...parts.slice(0, max), parts.slice(max).join(separator ?? " ")];
  }),
  evaluator("aten::splitlines(str self, bool keepends=False) -> str[]", (_ctx, { self, keepends }) => {
    const lines = keepends ? self.split(/(?<=\n)/) : self.split("\n");
    return lines.at(-1) === "" ? lines.slice(0, -1) : lines;
  }),
  evaluator("aten::join(str self, str[] values) -> str", (_ctx, { self, values }) => values.join(self)),
  evaluator(
    "aten::startswith(str self, str substr, int start=0, int end=-1) -> bool",
    (_ctx, { self, substr, start }) => self.startsWith(substr, start),
  ),
  evaluator("aten::endswith(str self, str substr, int start=0, int end=-1) -> bool", (_ctx, { self, substr }) =>
    self.endsWith(substr),
  ),
  evaluator("aten::find(str self, str substr, int start=0, int end=-1) -> int", (_ctx, { self, substr, start }) =>
    self.indexOf(substr, start),
  ),
  evaluator("aten::rfind(str self, str substr, int start=0, int end=-1) -> int", (_ctx, { self, substr }) =>
    self.lastIndexOf(substr),
  ),
  evaluator(
    "aten::count(str self, str substr, int start=0, int end=-1) -> int",
    (_ctx, { self, substr }) => self.split(substr).length - 1,
  ),
  evaluator("aten::partition(str self, str separator) -> (str, str, str)", (_ctx, { self, separator }) =>
    partition(self, separator, self.indexOf(separator)),
  ),
  evaluator("aten::rpartition(str self, str separator) -> (str, str, str)", (_ctx, { self, separator }) =>
    partition(self, separator, self.lastIndexOf(separator)),
  ),
  evaluator("aten::zfill(str self, int width) -> str", (_ctx, { self, width }) => self.padStart(width, "0")),
  evaluator("aten::ljust(str self, int width, str fillchar=' ') -> str", (_ctx, { self, width, fillchar }) =>
    self.padEnd(width, fillchar),
  ),
  evaluator("aten::rjust(str self, int width, str fillchar=' ') -> str", (_ctx, { self, width, fillchar }) =>
    self.padStart(width, fillchar),
  ),
  evaluator("aten::isdigit(str self) -> bool", (_ctx, { self }) => /^\d+$/.test(self)),
  evaluator("aten::isalpha(str self) -> bool", (_ctx, { self }) => /^\p{L}+$/u.test(self)),
  evaluator("aten::isalnum(str self) -> bool", (_ctx, { self }) => /^[\p{L}\p{N}]+$/u.test(self)),
  evaluator("aten::isspace(str self) -> bool", (_ctx, { self }) => /^\s+$/.test(self)),
  evaluator("aten::isupper(str self) -> bool", (_ctx, { self }) => /\p{L}/u.test(self) && self === self.toUpperCase()),
  evaluator("aten::islower(str self) -> bool", (_ctx, { self }) => /\p{L}/u.test(self) && self === self.toLowerCase()),
  evaluator("aten::ord(str string) -> int", (_ctx, { string }) => string.codePointAt(0) ?? 0),
  evaluator("aten::chr(int i) -> str", (_ctx, { i }) => String.fromCodePoint(i)),
  evaluator("aten::add.str(str a, str b) -> str", (_ctx, { a, b }) => a + b),
];

export const str = nodeEvaluator("aten::str", (_ctx, node, [value]) => [
  formatValue(value as IValue, node.input().type),
]);

export const format = nodeEvaluator("aten::format", (_ctx, node, [template, ...values]) => {
  let next = 0;
  return [
    String(template).replace(/\{(\d*)\}/g, (_, index: string) => {
      const at = index === "" ? next++ : Number(index);
      return formatValue(values[at] ?? null, node.inputs[at + 1]?.type);
    }),
  ];
});

/** `"%d of %s" % (a, b)`. */
export const percentFormat = nodeEvaluator("aten::percentFormat", (_ctx, node, [template, ...values]) => {
  let next = 0;
  return [
    String(template).replace(/%(?:\.(\d+))?([%sdfgrx])/g, (_, digits: string | undefined, form: string) => {
      if (form === "%") return "%";
      const value = values[next++] ?? null;
      if (form === "f") return Number(value).toFixed(digits === undefined ? 6 : Number(digits));
      if (form === "x") return Number(value).toString(16);
      return form === "d" ? String(value) : formatValue(value, node.inputs[next]?.type);
    }),
  ];
});

/** `str(value)` as TorchScript prints it. The type tells an int from a float. */
export function formatValue(value: IValue, type?: Type): string {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "number") return type?.kind === "FloatType" ? formatFloat(value) : String(value);
  if (typeof value === "string") return value;
  if (value instanceof Scalar) {
    return formatValue(value.value, value.type === "float" ? { kind: "FloatType" } : undefined);
  }
  if (value instanceof Device) return value.name;
  if (value instanceof EnumValue) return `${value.typeName.split(".").at(-1)}.${value.memberName}`;
  const quoted = (item: IValue, inner?: Type): string =>
    typeof item === "string" ? `'${item}'` : formatValue(item, inner);
  if (Array.isArray(value)) {
    const inner = type?.kind === "ListType" ? type.element : undefined;
    return `[${value.map((item) => quoted(item, inner)).join(", ")}]`;
  }
  if (value instanceof TupleValue) {
    const inner = (i: number): Type | undefined => (type?.kind === "TupleType" ? type.elements[i] : undefined);
    return `(${value.elements.map((item, i) => quoted(item, inner(i))).join(", ")}${value.elements.length === 1 ? "," : ""})`;
  }
  if (value instanceof Map) return `{${[...value].map(([key, item]) => `${quoted(key)}: ${quoted(item)}`).join(", ")}}`;
  return describeValue(value);
}

/** TorchScript prints `2.` where Python prints `2.0`, and all 17 digits of what is not whole. */
function formatFloat(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";
  if (Number.isInteger(value) && Math.abs(value) < 1e10) return `${value}.`;
  return value.toPrecision(17).replace(/(\.\d*?)0+($|e)/, "$1$2");
}

function strip(text: string, chars: string, left: boolean, right: boolean): string {
  const strips = (char: string | undefined): boolean =>
    char !== undefined && (chars.trim() === "" ? /\s/.test(char) : chars.includes(char));
  let [start, end] = [0, text.length];
  while (left && start < end && strips(text[start])) start++;
  while (right && end > start && strips(text[end - 1])) end--;
  return text.slice(start, end);
}

function partition(text: string, separator: string, at: number): [string, string, string] {
  return at < 0 ? [text, "", ""] : [text.slice(0, at), separator, text.slice(at + separator.length)];
}
