import { decodeUtf8, type Source } from "./source.js";

export type TokenKind = "name" | "number" | "string" | "operator" | "newline" | "indent" | "dedent" | "end";

export interface Token {
  readonly kind: TokenKind;
  /** A name, an operator or a number as it stands in the source; a string's value. */
  readonly text: string;
  /** Offset of its first character. */
  readonly at: number;
}

const OPERATORS3 = new Set(["**=", "//=", ">>=", "<<=", "..."]);
const OPERATORS2 = new Set(
  "-> == != <= >= ** // << >> += -= *= /= %= &= |= ^= @=".split(" "), //
);

const NUMBER = /0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?[jJ]?/y;

/** Splits a source into tokens, with Python's indentation as `indent` and `dedent`. Throws `parse`. */
export function tokenize(source: Source): Token[] {
  const { text } = source;
  const tokens: Token[] = [];
  const indents = [0];
  let depth = 0;
  let at = 0;
  let lineStart = true;
  const push = (kind: TokenKind, value: string, offset: number): void => {
    tokens.push({ kind, text: value, at: offset });
  };
  while (at < text.length) {
    if (lineStart && depth === 0) {
      const start = at;
      while (text[at] === " " || text[at] === "\t") at++;
      const first = text[at];
      // Lines that are empty or hold only a comment say nothing about indentation.
      if (first !== "\n" && first !== "\r" && first !== "#" && first !== undefined) {
        const width = at - start;
        const current = indents.at(-1) as number;
        if (width > current) {
          indents.push(width);
          push("indent", "", at);
        }
        while (width < (indents.at(-1) as number)) {
          indents.pop();
          push("dedent", "", at);
        }
        if (width !== indents.at(-1)) source.fail(at, "this line's indentation matches no outer block");
      }
      lineStart = false;
      continue;
    }
    const char = text[at] as string;
    const code = text.charCodeAt(at);
    if (char === "\n") {
      if (depth === 0 && tokens.length > 0 && tokens.at(-1)?.kind !== "newline") push("newline", "", at);
      lineStart = depth === 0;
      at++;
    } else if (char === " " || char === "\t" || char === "\r") at++;
    else if (char === "#") {
      while (at < text.length && text[at] !== "\n") at++;
    } else if (char === "\\" && text[at + 1] === "\n") at += 2;
    else if (isNamePart(code) && !isDigit(code)) {
      const start = at++;
      while (isNamePart(text.charCodeAt(at))) at++;
      push("name", decodeUtf8(text.slice(start, at)), start);
    } else if (isDigit(code) || (char === "." && isDigit(text.charCodeAt(at + 1)))) {
      NUMBER.lastIndex = at;
      const number = NUMBER.exec(text)?.[0] as string;
      push("number", number, at);
      at += number.length;
    } else if (char === '"' || char === "'") {
      const { value, end } = readString(source, at);
      push("string", value, at);
      at = end;
    } else {
      const operator = operatorAt(text, at);
      if (operator.length === 1 && !"()[]{}:;,.=<>+-*/%&|^~@".includes(operator)) {
        source.fail(at, `unexpected character ${JSON.stringify(char)}`);
      }
      if (operator === "(" || operator === "[" || operator === "{") depth++;
      if (operator === ")" || operator === "]" || operator === "}") depth = Math.max(0, depth - 1);
      push("operator", operator, at);
      at += operator.length;
    }
  }
  if (tokens.length > 0 && tokens.at(-1)?.kind !== "newline") push("newline", "", at);
  for (let i = 1; i < indents.length; i++) push("dedent", "", at);
  push("end", "", at);
  return tokens;
}

function isDigit(code: number): boolean {
  return code >= 48 && code <= 57;
}

/** Letters of other scripts are bytes from 0x80 on. */
function isNamePart(code: number): boolean {
  return (code >= 97 && code <= 122) || (code >= 65 && code <= 90) || code === 95 || isDigit(code) || code >= 0x80;
}

function operatorAt(text: string, at: number): string {
  // Nearly all stand alone, before a name, a number or a space.
  const next = text[at + 1] ?? "";
  if (!"=*/<>.".includes(next) || next === "") return text[at] as string;
  const three = text.slice(at, at + 3);
  if (OPERATORS3.has(three)) return three;
  const two = text.slice(at, at + 2);
  return OPERATORS2.has(two) ? two : (text[at] as string);
}

const ESCAPES: Readonly<Record<string, string>> = {
  n: "\n",
  t: "\t",
  r: "\r",
  a: "\x07",
  b: "\b",
  f: "\f",
  v: "\v",
  "\\": "\\",
  "'": "'",
  '"': '"',
  "\n": "",
};

/** A string literal, with PyTorch's escapes: bytes that do not print are written in octal. */
function readString(source: Source, start: number): { value: string; end: number } {
  const { text } = source;
  const quote = text[start] as string;
  const triple = text.startsWith(quote.repeat(3), start);
  const close = triple ? quote.repeat(3) : quote;
  let at = start + close.length;
  let value = "";
  for (;;) {
    const char = text[at];
    if (char === undefined || (char === "\n" && !triple)) source.fail(start, "this string does not end");
    if (text.startsWith(close, at)) return { value: decodeUtf8(value), end: at + close.length };
    if (char !== "\\") {
      value += char;
      at++;
      continue;
    }
    const rest = text.slice(at + 1, at + 4);
    const coded = /^[0-7]{1,3}/.exec(rest)?.[0] ?? /^x[0-9a-fA-F]{2}/.exec(rest)?.[0];
    if (coded !== undefined) {
      const byte = coded[0] === "x" ? Number.parseInt(coded.slice(1), 16) : Number.parseInt(coded, 8);
      value += String.fromCharCode(byte & 0xff);
      at += 1 + coded.length;
    } else {
      const next = text[at + 1] ?? "";
      value += ESCAPES[next] ?? `\\${next}`;
      at += 2;
    }
  }
}
