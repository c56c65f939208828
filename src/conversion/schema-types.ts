import type { Device } from "../ir/constant.js";
import type { ScalarType } from "../ir/scalar-type.js";
import type { ITensor } from "../network/layers.js";
import type { Dim, FloatScalar, SymScalar } from "../network/symbolic.js";
import type { IValue, Scalar, TensorValue } from "./values.js";

/**
 * An operator schema read by TypeScript's type checker: `ArgumentsOf<"aten::relu(Tensor self) -> Tensor">` is
 * `{ self: TensorValue }`. The same text is parsed at run time by `parseSchema`, so a converter's arguments and its
 * registration cannot drift apart.
 */
export type ArgumentsOf<S extends string> = S extends `${string}(${infer Rest}`
  ? StripAliases<Rest> extends `${infer Arguments}) -> ${string}`
    ? Flatten<Entries<SplitArguments<Arguments>>>
    : never
  : never;

/** What a converter of the schema gives back. */
export type ReturnOf<S extends string> = S extends `${string}(${infer Rest}`
  ? StripAliases<Rest> extends `${string}) -> ${infer Returns}`
    ? Returns extends "()"
      ? null | undefined
      : Returns extends `(${infer List})`
        ? SplitArguments<List> extends readonly [infer Only extends string]
          ? Result<FirstWord<Only>>
          : Results<SplitArguments<List>>
        : Result<FirstWord<Returns>>
    : never
  : never;

type Results<List extends readonly unknown[]> = { readonly [K in keyof List]: Result<FirstWord<List[K] & string>> };

type StripAliases<S extends string> = S extends `${infer Before}Tensor(${string})${infer After}`
  ? StripAliases<`${Before}Tensor${After}`>
  : S extends `${infer Before}](${string})${infer After}`
    ? StripAliases<`${Before}]${After}`>
    : S extends `${infer Before} t(${string})${infer After}`
      ? StripAliases<`${Before} t${After}`>
      : S;

/** On commas outside of brackets: `[1, 1]` stays whole. */
type SplitArguments<S extends string, Open extends string = ""> = S extends ""
  ? Open extends ""
    ? []
    : [Open]
  : S extends `${infer Head}, ${infer Tail}`
    ? `${Open}${Head}` extends `${string}=[${infer List}`
      ? List extends `${string}]`
        ? [`${Open}${Head}`, ...SplitArguments<Tail>]
        : SplitArguments<Tail, `${Open}${Head}, `>
      : [`${Open}${Head}`, ...SplitArguments<Tail>]
    : [`${Open}${S}`];

type Entries<List extends readonly unknown[]> = List extends readonly [infer Head, ...infer Tail]
  ? Head extends `*`
    ? Entries<Tail>
    : Head extends `...`
      ? Entries<Tail>
      : Head extends `${infer Type} ${infer Name}=${string}`
        ? { [K in Name]: ArgumentType<Type> } & Entries<Tail>
        : Head extends `${infer Type} ${infer Name}`
          ? { [K in Name]: ArgumentType<Type> } & Entries<Tail>
          : Entries<Tail>
  : unknown;

type Flatten<T> = { [K in keyof T]: T[K] };
type FirstWord<S extends string> = S extends `${infer Word} ${string}` ? Word : S;

type ArgumentType<T extends string> = T extends `${infer Base}?`
  ? ArgumentType<Base> | null
  : T extends `${infer Base}[${string}]`
    ? readonly ArgumentType<Base>[]
    : T extends keyof BaseTypes
      ? BaseTypes[T]
      : IValue;

interface BaseTypes {
  Tensor: TensorValue;
  Scalar: Scalar;
  /** Known at build time; a converter that can do without declares `SymInt`. */
  int: number;
  SymInt: Dim;
  float: number;
  SymFloat: FloatScalar;
  bool: boolean;
  str: string;
  ScalarType: ScalarType;
  Device: Device;
  Layout: number;
  MemoryFormat: number;
  Generator: never;
}

type Result<T extends string> = T extends "Tensor"
  ? ITensor | TensorValue
  : T extends `Tensor[${string}]`
    ? readonly (ITensor | TensorValue)[]
    : T extends "int" | "SymInt"
      ? Dim
      : T extends "float" | "SymFloat"
        ? FloatScalar
        : T extends "bool" | "SymBool"
          ? SymScalar
          : T extends "Scalar"
            ? Scalar
            : T extends `int[${string}]` | `SymInt[${string}]`
              ? readonly Dim[]
              : IValue | readonly IValue[];
