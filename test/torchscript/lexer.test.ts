import t from "tap";
import { tokenize } from "../../src/torchscript/lexer.js";
import { Source } from "../../src/torchscript/source.js";

const lex = (text: string): string[] =>
  tokenize(Source.fromText("code/__torch__.py", text)).map(({ kind, text }) =>
    kind === "name" || kind === "number" || kind === "operator"
      ? text
      : kind === "string"
        ? JSON.stringify(text)
        : kind,
  );

t.test("blocks, comments and lines within parentheses", async (t) => {
  t.strictSame(lex("if a:\n  b = (1,\n    2)  # why\n\n  # note\nc\n"), [
    ..."if a : newline indent b = ( 1 , 2 ) newline dedent c newline end".split(" "),
  ]);
  t.strictSame(lex("if a:\n  if b:\n    c"), [
    ..."if a : newline indent if b : newline indent c newline dedent dedent end".split(" "),
  ]);
});

t.test("numbers as PyTorch prints them", async (t) => {
  t.strictSame(lex("1 0. 1.0000000000000001e-05 1e+20 9223372036854775807 2.j 0x1F"), [
    ..."1 0. 1.0000000000000001e-05 1e+20 9223372036854775807 2.j 0x1F newline end".split(" "),
  ]);
});

t.test("strings with PyTorch's escapes: what does not print is octal", async (t) => {
  t.strictSame(lex(String.raw`"s\"q\n"`), ['"s\\"q\\n"', "newline", "end"]);
  t.strictSame(lex(String.raw`'caf\303\251 \x41 \\ \''`), [JSON.stringify("café A \\ '"), "newline", "end"]);
  t.strictSame(lex('"größe"'), ['"größe"', "newline", "end"]);
});

t.test("operators of several characters", async (t) => {
  t.strictSame(lex("a //= b ** c -> d != e ..."), [..."a //= b ** c -> d != e ... newline end".split(" ")]);
});

t.test("errors point at the place", async (t) => {
  const location = (line: number, column: number, text: string): object => ({
    code: "parse",
    location: { file: "code/__torch__.py", line, column, text },
  });
  t.throws(() => lex('a = 1\nb = "never'), { message: "this string does not end", ...location(2, 5, 'b = "never') });
  t.throws(() => lex("a = 1\nb = 2 ? 3\n"), { message: 'unexpected character "?"', ...location(2, 7, "b = 2 ? 3") });
  t.throws(() => lex("if a:\n    b\n  c\n"), {
    message: "this line's indentation matches no outer block",
    ...location(3, 3, "  c"),
  });
});
