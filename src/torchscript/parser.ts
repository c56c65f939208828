import type {
  AttributeDef,
  BinaryOperator,
  ClassDef,
  Expression,
  File,
  FunctionDef,
  Keyword,
  Parameter,
  Statement,
  UnaryOperator,
} from "./ast.js";
import { type Token, type TokenKind, tokenize } from "./lexer.js";
import type { Source } from "./source.js";

/** Parses a file of an archive's `code/`. Throws a TrtorchError of code `parse` that points at the line. */
export function parseFile(source: Source): File {
  return new Parser(source).file();
}

/** How tightly a binary operator binds; `**` alone binds to the right. */
const PRECEDENCE: ReadonlyMap<string, number> = new Map([
  ["or", 1],
  ["and", 2],
  ["in", 4],
  ["not in", 4],
  ["is", 4],
  ["is not", 4],
  ["==", 4],
  ["!=", 4],
  ["<", 4],
  ["<=", 4],
  [">", 4],
  [">=", 4],
  ["|", 5],
  ["^", 6],
  ["&", 7],
  ["<<", 8],
  [">>", 8],
  ["+", 9],
  ["-", 9],
  ["*", 10],
  ["/", 10],
  ["//", 10],
  ["%", 10],
  ["@", 10],
  ["**", 12],
]);
const NOT_PRECEDENCE = 3;
const UNARY_PRECEDENCE = 11;

/** Names that cannot stand for a value. */
const KEYWORDS = new Set(
  (
    "and as assert break class continue def del elif else for from if import in is lambda not or pass raise return " +
    "while with yield"
  ).split(" "),
);

/** Deeper than any model's code is nested: a made-up file must not exhaust the stack, of the parser or of who reads on. */
const DEPTH_LIMIT = 400;
const TOO_DEEP = "this is nested too deeply";

class Parser {
  readonly #source: Source;
  readonly #tokens: readonly Token[];
  #index = 0;
  #depth = 0;
  /** Links of chains on the longest way down what has been parsed of the innermost chain. */
  #links = 0;

  constructor(source: Source) {
    this.#source = source;
    this.#tokens = tokenize(source);
  }

  file(): File {
    const classes = new Map<string, ClassDef>();
    const functions = new Map<string, FunctionDef>();
    while (!this.#is("end")) {
      if (this.#isName("class")) {
        const definition = this.#class();
        classes.set(definition.name, definition);
      } else if (this.#isName("def")) {
        const definition = this.#function();
        functions.set(definition.name, definition);
      } else if (this.#isName("import") || this.#isName("op_version_set")) {
        // Before 1.4 a file began with its imports and its version; the archive's own version counts.
        while (!this.#accept("newline")) this.#next();
      } else this.#fail("a class or a function");
    }
    return { classes, functions };
  }

  #class(): ClassDef {
    const { at } = this.#next();
    const name = this.#name("the class's name");
    let base: string | undefined;
    if (this.#acceptOperator("(")) {
      if (!this.#isOperator(")")) base = this.#name("a base class");
      this.#expectOperator(")");
    }
    const parameters: string[] = [];
    const buffers: string[] = [];
    const attributes: AttributeDef[] = [];
    const methods: FunctionDef[] = [];
    this.#expectOperator(":");
    this.#expect("newline", "a new line");
    // A class without attributes and methods has no body at all.
    if (this.#accept("indent")) {
      while (!this.#accept("dedent")) {
        // An attribute may be called like a keyword: `class : T`.
        if (this.#isName("def") && this.#peek(1).kind === "name") methods.push(this.#function());
        else if (this.#isName("pass") && this.#peek(1).kind === "newline") {
          this.#next();
          this.#next();
        } else this.#member(parameters, buffers, attributes);
      }
    }
    return {
      kind: "Class",
      at,
      name,
      ...(base === undefined ? {} : { base }),
      parameters,
      buffers,
      attributes,
      methods,
    };
  }

  #member(parameters: string[], buffers: string[], attributes: AttributeDef[]): void {
    const { at, kind, text } = this.#next();
    if (kind !== "name") this.#failAt(at, "expected an attribute or a method");
    if (text === "__annotations__" && this.#acceptOperator("[")) {
      const name = this.#expect("string", "an attribute's name").text;
      this.#expectOperator("]");
      this.#expectOperator("=");
      attributes.push({ name, at, annotation: this.#expression() });
    } else if (this.#acceptOperator(":")) {
      const annotation = this.#expression();
      const value = this.#acceptOperator("=") ? this.#expressionList() : undefined;
      attributes.push({ name: text, at, annotation, ...(value === undefined ? {} : { value }) });
    } else {
      this.#expectOperator("=");
      const value = this.#expressionList();
      if (text === "__parameters__") parameters.push(...this.#strings(value));
      else if (text === "__buffers__") buffers.push(...this.#strings(value));
      else if (!text.startsWith("__")) attributes.push({ name: text, at, value });
    }
    this.#expect("newline", "the end of the line");
  }

  #strings(list: Expression): string[] {
    if (list.kind !== "List") return this.#failAt(list.at, "expected a list of names");
    return list.elements.map((element) =>
      element.kind === "String" ? element.value : this.#failAt(element.at, "expected a name in quotes"),
    );
  }

  #function(): FunctionDef {
    const { at } = this.#next();
    const name = this.#name("the function's name");
    this.#expectOperator("(");
    const parameters: Parameter[] = [];
    let kwargOnly = false;
    while (!this.#acceptOperator(")")) {
      const start = this.#peek().at;
      if (this.#acceptOperator("*")) kwargOnly = true;
      else {
        const parameter = this.#name("a parameter");
        const annotation = this.#acceptOperator(":") ? this.#expression() : undefined;
        const value = this.#acceptOperator("=") ? this.#expression() : undefined;
        parameters.push({
          name: parameter,
          at: start,
          kwargOnly,
          ...(annotation === undefined ? {} : { annotation }),
          ...(value === undefined ? {} : { default: value }),
        });
      }
      if (!this.#isOperator(")")) this.#expectOperator(",");
    }
    const returns = this.#acceptOperator("->") ? this.#expression() : undefined;
    const body = this.#body();
    return { kind: "Function", at, name, parameters, ...(returns === undefined ? {} : { returns }), body };
  }

  #body(): Statement[] {
    this.#expectOperator(":");
    const statements: Statement[] = [];
    if (!this.#accept("newline")) {
      this.#simpleStatements(statements);
      return statements;
    }
    this.#expect("indent", "an indented block");
    while (!this.#accept("dedent")) this.#statement(statements);
    return statements;
  }

  #statement(into: Statement[]): void {
    const token = this.#peek();
    const { at } = token;
    switch (token.kind === "name" ? token.text : "") {
      case "def":
        into.push(this.#nested(() => this.#function()));
        return;
      case "if":
        into.push(this.#nested(() => this.#if()));
        return;
      case "while": {
        this.#next();
        const test = this.#expression();
        into.push({ kind: "While", at, test, body: this.#nested(() => this.#body()) });
        return;
      }
      case "for": {
        this.#next();
        const target = this.#targetList();
        this.#expectName("in");
        const iterable = this.#expressionList();
        into.push({ kind: "For", at, target, iterable, body: this.#nested(() => this.#body()) });
        return;
      }
      case "with":
        into.push(this.#nested(() => this.#with()));
        return;
      default:
        this.#simpleStatements(into);
    }
  }

  #if(): Statement {
    const { at } = this.#next();
    const test = this.#expression();
    const body = this.#body();
    let otherwise: Statement[] = [];
    if (this.#isName("elif")) otherwise = [this.#nested(() => this.#if())];
    else if (this.#isName("else")) {
      this.#next();
      otherwise = this.#body();
    }
    return { kind: "If", at, test, body, otherwise };
  }

  #with(): Statement {
    const { at } = this.#next();
    const items: { context: Expression; target?: Expression }[] = [];
    do {
      const context = this.#expression();
      items.push(this.#acceptName("as") ? { context, target: this.#expression() } : { context });
    } while (this.#acceptOperator(","));
    return { kind: "With", at, items, body: this.#body() };
  }

  #simpleStatements(into: Statement[]): void {
    do into.push(this.#simpleStatement());
    while (this.#acceptOperator(";") && !this.#is("newline"));
    this.#expect("newline", "the end of the statement");
  }

  #simpleStatement(): Statement {
    const { at, kind, text } = this.#peek();
    if (kind === "name") {
      switch (text) {
        case "pass":
          this.#next();
          return { kind: "Pass", at };
        case "break":
          this.#next();
          return { kind: "Break", at };
        case "continue":
          this.#next();
          return { kind: "Continue", at };
        case "return": {
          this.#next();
          return this.#is("newline") ? { kind: "Return", at } : { kind: "Return", at, value: this.#expressionList() };
        }
        case "raise": {
          this.#next();
          return this.#is("newline") ? { kind: "Raise", at } : { kind: "Raise", at, value: this.#expression() };
        }
        case "assert": {
          this.#next();
          const test = this.#expression();
          return this.#acceptOperator(",")
            ? { kind: "Assert", at, test, message: this.#expression() }
            : { kind: "Assert", at, test };
        }
        case "del": {
          this.#next();
          const targets = this.#expressionList();
          return { kind: "Delete", at, targets: targets.kind === "Tuple" ? targets.elements : [targets] };
        }
      }
    }
    const first = this.#expressionList();
    if (this.#acceptOperator(":")) {
      const annotation = this.#expression();
      if (!this.#acceptOperator("=")) return { kind: "Assign", at, targets: [first], annotation };
      return { kind: "Assign", at, targets: [first], annotation, value: this.#expressionList() };
    }
    if (this.#isOperator("=")) {
      const chain = [first];
      while (this.#acceptOperator("=")) chain.push(this.#expressionList());
      const value = chain.pop() as Expression;
      return { kind: "Assign", at, targets: chain, value };
    }
    const operator = this.#peek();
    if (operator.kind === "operator" && operator.text.length > 1 && operator.text.endsWith("=")) {
      const binary = operator.text.slice(0, -1);
      if (PRECEDENCE.has(binary)) {
        this.#next();
        const value = this.#expressionList();
        return { kind: "AugmentedAssign", at, target: first, operator: binary as BinaryOperator, value };
      }
    }
    return { kind: "Expression", at, value: first };
  }

  /** What stands before `in` of a `for`. */
  #targetList(): Expression {
    const { at } = this.#peek();
    const first = this.#postfix();
    if (!this.#isOperator(",")) return first;
    const elements = [first];
    while (this.#acceptOperator(",") && !this.#isName("in")) elements.push(this.#postfix());
    return { kind: "Tuple", at, elements };
  }

  /** One expression, or several with commas between or after them: a tuple. */
  #expressionList(): Expression {
    const { at } = this.#peek();
    const first = this.#expression();
    if (!this.#isOperator(",")) return first;
    const elements = [first];
    while (this.#acceptOperator(",")) {
      if (this.#is("newline") || this.#isOperator("=") || this.#isOperator("]") || this.#isOperator(":")) break;
      elements.push(this.#expression());
    }
    return { kind: "Tuple", at, elements };
  }

  #expression(): Expression {
    this.#deepen();
    const { at } = this.#peek();
    let result: Expression;
    if (this.#acceptOperator("*")) result = { kind: "Starred", at, value: this.#binary(0) };
    else {
      result = this.#binary(0);
      if (this.#acceptName("if")) {
        const test = this.#binary(0);
        this.#expectName("else");
        result = { kind: "Conditional", at, test, value: result, otherwise: this.#expression() };
      }
    }
    this.#depth--;
    return result;
  }

  #binary(minimum: number): Expression {
    return this.#chain(
      () => this.#unary(),
      (left, at) => {
        const operator = this.#binaryOperator();
        const precedence = operator === undefined ? undefined : PRECEDENCE.get(operator);
        if (operator === undefined || precedence === undefined || precedence <= minimum) return undefined;
        this.#next();
        if (operator === "not in" || operator === "is not") this.#next();
        const right = this.#nested(() => this.#binary(operator === "**" ? UNARY_PRECEDENCE - 1 : precedence));
        return { kind: "Binary", at, operator, left, right };
      },
    );
  }

  #binaryOperator(): BinaryOperator | undefined {
    const { kind, text } = this.#peek();
    if (kind === "operator") return PRECEDENCE.has(text) ? (text as BinaryOperator) : undefined;
    if (kind !== "name") return undefined;
    if (text === "and" || text === "or" || text === "in") return text;
    const next = this.#peek(1);
    if (text === "is") return next.kind === "name" && next.text === "not" ? "is not" : "is";
    if (text === "not" && next.kind === "name" && next.text === "in") return "not in";
    return undefined;
  }

  #unary(): Expression {
    const { at, kind, text } = this.#peek();
    const operator: UnaryOperator | undefined =
      kind === "operator" && (text === "-" || text === "+" || text === "~")
        ? text
        : kind === "name" && text === "not"
          ? "not"
          : undefined;
    if (operator === undefined) return this.#postfix();
    this.#next();
    const operand = this.#nested(() => this.#binary(operator === "not" ? NOT_PRECEDENCE : UNARY_PRECEDENCE));
    return { kind: "Unary", at, operator, operand };
  }

  #postfix(): Expression {
    return this.#chain(
      () => this.#atom(),
      (value, at) => {
        if (this.#acceptOperator(".")) {
          // After a dot every word is a name: `d.class`.
          return { kind: "Attribute", at, object: value, name: this.#expect("name", "an attribute's name").text };
        }
        if (this.#acceptOperator("(")) return { kind: "Call", at, callee: value, ...this.#arguments() };
        if (!this.#acceptOperator("[")) return undefined;
        const index = this.#index_();
        this.#expectOperator("]");
        return { kind: "Subscript", at, object: value, index };
      },
    );
  }

  /** `a + b + c`, `a.b.c`: parsed in a loop, but in the tree the first link lies as deep as the chain is long. */
  #chain(first: () => Expression, longer: (chain: Expression, at: number) => Expression | undefined): Expression {
    const { at } = this.#peek();
    const beside = this.#links;
    this.#links = 0;
    let chain = first();
    for (let next = longer(chain, at); next !== undefined; next = longer(chain, at)) {
      chain = next;
      if (this.#depth + ++this.#links > DEPTH_LIMIT) this.#failAt(at, TOO_DEEP);
    }
    this.#links = Math.max(beside, this.#links);
    return chain;
  }

  #arguments(): { args: Expression[]; keywords: Keyword[] } {
    const args: Expression[] = [];
    const keywords: Keyword[] = [];
    while (!this.#acceptOperator(")")) {
      const next = this.#peek(1);
      if (this.#is("name") && next.kind === "operator" && next.text === "=") {
        const name = this.#next().text;
        this.#next();
        keywords.push({ name, value: this.#expression() });
      } else args.push(this.#expression());
      if (!this.#isOperator(")")) this.#expectOperator(",");
    }
    return { args, keywords };
  }

  #index_(): Expression {
    const { at } = this.#peek();
    const first = this.#slice();
    if (!this.#isOperator(",")) return first;
    const elements = [first];
    while (this.#acceptOperator(",") && !this.#isOperator("]")) elements.push(this.#slice());
    return { kind: "Tuple", at, elements };
  }

  #slice(): Expression {
    const { at } = this.#peek();
    const bound = (): Expression | undefined =>
      this.#isOperator(":") || this.#isOperator("]") || this.#isOperator(",") ? undefined : this.#expression();
    const start = bound();
    if (!this.#acceptOperator(":")) return start ?? this.#fail("an index");
    const stop = bound();
    const step = this.#acceptOperator(":") ? bound() : undefined;
    return {
      kind: "Slice",
      at,
      ...(start === undefined ? {} : { start }),
      ...(stop === undefined ? {} : { stop }),
      ...(step === undefined ? {} : { step }),
    };
  }

  #atom(): Expression {
    const token = this.#next();
    const { at, kind, text } = token;
    switch (kind) {
      case "number": {
        const complex = /j$/i.test(text);
        const hex = /^0x/i.test(text);
        const type = complex ? "complex" : !hex && /[.e]/i.test(text) ? "float" : "int";
        return { kind: "Number", at, type, value: Number(complex ? text.slice(0, -1) : text) };
      }
      case "string": {
        let value = text;
        while (this.#is("string")) value += this.#next().text;
        return { kind: "String", at, value };
      }
      case "name":
        if (text === "None") return { kind: "Literal", at, value: null };
        if (text === "True" || text === "False") return { kind: "Literal", at, value: text === "True" };
        if (KEYWORDS.has(text)) this.#failAt(at, `'${text}' is a keyword here, expected an expression`);
        return { kind: "Name", at, name: text };
      case "operator":
        if (text === "(") return this.#parenthesis(at);
        if (text === "[") return this.#list(at);
        if (text === "{") return this.#dict(at);
        if (text === "...") return { kind: "Ellipsis", at };
    }
    return this.#failAt(at, `expected an expression, found ${describe(token)}`);
  }

  #parenthesis(at: number): Expression {
    if (this.#acceptOperator(")")) return { kind: "Tuple", at, elements: [] };
    const first = this.#expression();
    if (this.#acceptOperator(")")) return first;
    const elements = [first];
    while (this.#acceptOperator(",") && !this.#isOperator(")")) elements.push(this.#expression());
    this.#expectOperator(")");
    return { kind: "Tuple", at, elements };
  }

  #list(at: number): Expression {
    const elements: Expression[] = [];
    while (!this.#acceptOperator("]")) {
      elements.push(this.#expression());
      const first = elements[0] as Expression;
      if (elements.length === 1 && this.#acceptName("for")) {
        const target = this.#targetList();
        this.#expectName("in");
        const iterable = this.#binary(0);
        const condition = this.#acceptName("if") ? this.#expression() : undefined;
        this.#expectOperator("]");
        return {
          kind: "Comprehension",
          at,
          element: first,
          target,
          iterable,
          ...(condition === undefined ? {} : { condition }),
        };
      }
      if (!this.#isOperator("]")) this.#expectOperator(",");
    }
    return { kind: "List", at, elements };
  }

  #dict(at: number): Expression {
    const keys: Expression[] = [];
    const values: Expression[] = [];
    while (!this.#acceptOperator("}")) {
      keys.push(this.#expression());
      this.#expectOperator(":");
      values.push(this.#expression());
      if (!this.#isOperator("}")) this.#expectOperator(",");
    }
    return { kind: "Dict", at, keys, values };
  }

  #deepen(): void {
    if (++this.#depth > DEPTH_LIMIT) this.#failAt(this.#peek().at, TOO_DEEP);
  }

  #nested<T>(parse: () => T): T {
    this.#deepen();
    const result = parse();
    this.#depth--;
    return result;
  }

  #peek(ahead = 0): Token {
    return this.#tokens[this.#index + ahead] ?? (this.#tokens.at(-1) as Token);
  }

  #next(): Token {
    const token = this.#peek();
    if (token.kind !== "end") this.#index++;
    return token;
  }

  #is(kind: TokenKind): boolean {
    return this.#peek().kind === kind;
  }

  #isName(text: string): boolean {
    const token = this.#peek();
    return token.kind === "name" && token.text === text;
  }

  #isOperator(text: string): boolean {
    const token = this.#peek();
    return token.kind === "operator" && token.text === text;
  }

  #accept(kind: TokenKind): boolean {
    if (!this.#is(kind)) return false;
    this.#next();
    return true;
  }

  #acceptName(text: string): boolean {
    if (!this.#isName(text)) return false;
    this.#next();
    return true;
  }

  #acceptOperator(text: string): boolean {
    if (!this.#isOperator(text)) return false;
    this.#next();
    return true;
  }

  #expect(kind: TokenKind, what: string): Token {
    if (!this.#is(kind)) this.#fail(what);
    return this.#next();
  }

  #expectName(text: string): void {
    if (!this.#acceptName(text)) this.#fail(`'${text}'`);
  }

  #expectOperator(text: string): void {
    if (!this.#acceptOperator(text)) this.#fail(`'${text}'`);
  }

  #name(what: string): string {
    return this.#expect("name", what).text;
  }

  #fail(expected: string): never {
    const token = this.#peek();
    return this.#failAt(token.at, `expected ${expected}, found ${describe(token)}`);
  }

  #failAt(at: number, message: string): never {
    return this.#source.fail(Math.min(at, Math.max(0, this.#source.text.length - 1)), message);
  }
}

function describe({ kind, text }: Token): string {
  switch (kind) {
    case "end":
      return "the end of the file";
    case "newline":
      return "the end of the line";
    case "indent":
    case "dedent":
      return "another indentation";
    case "string":
      return "a string";
    default:
      return `'${text}'`;
  }
}
