import { type Constant, Device, EnumValue, ObjectValue, TupleValue } from "../ir/constant.js";
import {
  isFloatingPoint,
  type ScalarType,
  scalarTypeCode,
  scalarTypeFromCode,
  scalarTypeSize,
} from "../ir/scalar-type.js";
import { type Quantization, type Storage, Tensor } from "../ir/tensor.js";
import { TrtorchError } from "../util/errors.js";
import type { Archive } from "./archive.js";
import { viewOf } from "./tensors.js";

/**
 * The attribute under which an {@link ObjectValue} holds a state that is no dict: what the class's `__getstate__`
 * returned and its `__setstate__` takes (packed quantized parameters, custom C++ classes). No attribute can have this
 * name. A class with a `__setstate__` that takes a dict has that dict's entries as attributes.
 */
export const STATE_ATTRIBUTE = "__setstate__";

/** Values of a pickle stand within each other at most so deep; people's recursive code must not overflow on them. */
const DEPTH_LIMIT = 1000;

/** Values at most, counted once for each place they stand in: bounds the work of code that walks the whole tree. */
const VALUE_LIMIT = 50_000_000;

/**
 * Reads a pickle of an archive, e.g. `data.pkl`, whose tensors' storages are the members of the folder of that name,
 * `data/`. Only the classes and functions that PyTorch's own writers use are known: nothing of the file is ever
 * executed, and an unknown global is an error before anything is made of it.
 *
 * - instances of `__torch__` classes are ObjectValues, members of Enum classes EnumValues without a member name
 * - lists are arrays, dicts are Maps, tuples (NamedTuples too) TupleValues, dtypes TorchScript's numbers
 * - tensors are views of the archive, and share storages as they did when saved
 * - a complex number is an ObjectValue of type `complex` with `real` and `imag`
 * - text that is not UTF-8 has one character a byte
 *
 * Throws a TrtorchError of code `archive`.
 */
export function unpickle(archive: Archive, name: string): Constant {
  return new Unpickler(archive, name).load();
}

/** A class or function that a pickle may name. */
interface Global {
  readonly name: string;
  readonly storage?: ScalarType;
  /** `REDUCE`: makes a value of the arguments. */
  readonly call?: (reader: Unpickler, args: readonly Item[]) => Item;
}

/** A storage with the dtype that its class in the pickle has. */
class TypedStorage {
  readonly storage: Storage;
  readonly dtype: ScalarType | undefined;
  constructor(storage: Storage, dtype: ScalarType | undefined) {
    this.storage = storage;
    this.dtype = dtype;
  }
}

class GlobalItem {
  readonly global: Global;
  constructor(global: Global) {
    this.global = global;
  }
}

/** What stands on the unpickler's stack. */
type Item = Constant | GlobalItem | TypedStorage;

const STORAGES: ReadonlyMap<string, ScalarType> = new Map([
  ["FloatStorage", "float32"],
  ["DoubleStorage", "float64"],
  ["HalfStorage", "float16"],
  ["BFloat16Storage", "bfloat16"],
  ["LongStorage", "int64"],
  ["IntStorage", "int32"],
  ["ShortStorage", "int16"],
  ["CharStorage", "int8"],
  ["ByteStorage", "uint8"],
  ["BoolStorage", "bool"],
  ["ComplexFloatStorage", "complex64"],
  ["ComplexDoubleStorage", "complex128"],
  ["ComplexHalfStorage", "complex32"],
  ["QInt8Storage", "qint8"],
  ["QUInt8Storage", "quint8"],
  ["QInt32Storage", "qint32"],
  ["Float8_e5m2Storage", "float8_e5m2"],
  ["Float8_e4m3fnStorage", "float8_e4m3fn"],
  ["UInt16Storage", "uint16"],
  ["UInt32Storage", "uint32"],
  ["UInt64Storage", "uint64"],
]);

const DTYPES: ReadonlySet<string> = new Set(STORAGES.values());

const QSCHEMES: ReadonlySet<string> = new Set([
  "per_tensor_affine",
  "per_tensor_symmetric",
  "per_channel_affine",
  "per_channel_symmetric",
  "per_channel_affine_float_qparams",
]);

const FUNCTIONS: ReadonlyMap<string, (reader: Unpickler, args: readonly Item[]) => Item> = new Map<
  string,
  (reader: Unpickler, args: readonly Item[]) => Item
>([
  ["collections.OrderedDict", (reader, args) => reader.orderedDict(args)],
  ["torch._utils._rebuild_tensor", (reader, args) => reader.rebuildTensor(args)],
  ["torch._utils._rebuild_tensor_v2", (reader, args) => reader.rebuildTensor(args)],
  ["torch._utils._rebuild_tensor_v3", (reader, args) => reader.rebuildTensorV3(args)],
  ["torch._utils._rebuild_parameter", (reader, args) => reader.rebuildParameter(args)],
  ["torch._utils._rebuild_qtensor", (reader, args) => reader.rebuildQTensor(args)],
  ["torch.jit._pickle.build_intlist", (reader, args) => reader.list(args[0])],
  ["torch.jit._pickle.build_doublelist", (reader, args) => reader.list(args[0])],
  ["torch.jit._pickle.build_boollist", (reader, args) => reader.list(args[0])],
  ["torch.jit._pickle.build_tensorlist", (reader, args) => reader.list(args[0])],
  // The declared type of the attribute says the same.
  ["torch.jit._pickle.restore_type_tag", (reader, args) => reader.plain(args[0])],
  ["torch.device", (reader, args) => reader.device(args)],
  ["builtins.complex", (reader, args) => reader.complex(args)],
  ["__builtin__.complex", (reader, args) => reader.complex(args)],
]);

function findGlobal(module: string, name: string): Global | undefined {
  const full = `${module}.${name}`;
  if (module === "__torch__" || module.startsWith("__torch__.")) return { name: full };
  const call = FUNCTIONS.get(full);
  if (call !== undefined) return { name: full, call };
  if (module === "torch.storage" && name === "UntypedStorage") return { name: full, storage: "uint8" };
  if (module !== "torch") return undefined;
  const storage = STORAGES.get(name);
  if (storage !== undefined) return { name: full, storage };
  return QSCHEMES.has(name) ? { name: full } : undefined;
}

class Unpickler {
  readonly #archive: Archive;
  readonly #name: string;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #memo = new Map<number, Item>();
  readonly #storages = new Map<string, TypedStorage>();
  /** The stacks below the marks that are open. */
  readonly #marks: Item[][] = [];
  #stack: Item[] = [];
  #at = 0;

  constructor(archive: Archive, name: string) {
    this.#archive = archive;
    this.#name = name;
    this.#bytes = archive.read(name);
    this.#view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.byteLength);
  }

  load(): Constant {
    for (;;) {
      const opcode = String.fromCharCode(this.#u8());
      switch (opcode) {
        case "\x80": // PROTO
          if (this.#u8() > 5) this.fail("is of an unknown pickle protocol");
          break;
        case "\x95": // FRAME
          this.#take(8);
          break;
        case ".": {
          const value = this.plain(this.#pop());
          this.#checkTree(value);
          return value;
        }
        case "(":
          this.#marks.push(this.#stack);
          this.#stack = [];
          break;
        case "0":
          this.#pop();
          break;
        case "1":
          this.#popMark();
          break;
        case "2":
          this.#stack.push(this.#top());
          break;
        case "N":
          this.#stack.push(null);
          break;
        case "\x88":
          this.#stack.push(true);
          break;
        case "\x89":
          this.#stack.push(false);
          break;
        case "J":
          this.#stack.push(this.#view.getInt32(this.#take(4), true));
          break;
        case "K":
          this.#stack.push(this.#u8());
          break;
        case "M":
          this.#stack.push(this.#view.getUint16(this.#take(2), true));
          break;
        case "\x8a": // LONG1
          this.#stack.push(this.#long(this.#u8()));
          break;
        case "\x8b": // LONG4
          this.#stack.push(this.#long(this.#u32()));
          break;
        case "G":
          this.#stack.push(this.#view.getFloat64(this.#take(8), false));
          break;
        case "X": // BINUNICODE
        case "T": // BINSTRING
          this.#stack.push(this.#string(this.#u32()));
          break;
        case "\x8c": // SHORT_BINUNICODE
        case "U": // SHORT_BINSTRING
          this.#stack.push(this.#string(this.#u8()));
          break;
        case "\x8d": // BINUNICODE8
          this.#stack.push(this.#string(Number(this.#view.getBigUint64(this.#take(8), true))));
          break;
        case "]":
          this.#stack.push([]);
          break;
        case "a": {
          const item = this.plain(this.#pop());
          this.list(this.#top()).push(item);
          break;
        }
        case "e": {
          const items = this.#popMark();
          const list = this.list(this.#top());
          for (const item of items) list.push(this.plain(item));
          break;
        }
        case "l":
          this.#stack.push(this.#popMark().map((item) => this.plain(item)));
          break;
        case ")":
          this.#tuple([]);
          break;
        case "t":
          this.#tuple(this.#popMark());
          break;
        case "\x85":
          this.#tuple(this.#popN(1));
          break;
        case "\x86":
          this.#tuple(this.#popN(2));
          break;
        case "\x87":
          this.#tuple(this.#popN(3));
          break;
        case "}":
          this.#stack.push(new Map());
          break;
        case "s":
          this.#setItems(this.#popN(2));
          break;
        case "u":
          this.#setItems(this.#popMark());
          break;
        case "d": {
          const items = this.#popMark();
          this.#stack.push(new Map());
          this.#setItems(items);
          break;
        }
        case "c": {
          const module = this.#line();
          this.#global(module, this.#line());
          break;
        }
        case "\x93": {
          // STACK_GLOBAL
          const [module, name] = this.#popN(2);
          this.#global(this.#text(module), this.#text(name));
          break;
        }
        case "R":
          this.#reduce();
          break;
        case "\x81":
          this.#newObject();
          break;
        case "b":
          this.#build();
          break;
        case "Q":
          this.#stack.push(this.#persistent(this.#pop()));
          break;
        case "h":
          this.#get(this.#u8());
          break;
        case "j":
          this.#get(this.#u32());
          break;
        case "q":
          this.#memo.set(this.#u8(), this.#top());
          break;
        case "r":
          this.#memo.set(this.#u32(), this.#top());
          break;
        case "\x94": // MEMOIZE
          this.#memo.set(this.#memo.size, this.#top());
          break;
        default:
          this.fail(
            `has the opcode 0x${opcode.charCodeAt(0).toString(16).padStart(2, "0")} at byte ${this.#at - 1}, which PyTorch does not write`,
          );
      }
    }
  }

  fail(problem: string, hint = "The file is damaged, or was not written by PyTorch."): never {
    throw new TrtorchError("archive", `${this.#name} ${problem}`, { location: { file: this.#archive.file }, hint });
  }

  /** A value rather than a class, a function or a bare storage. */
  plain(item: Item | undefined): Constant {
    if (item instanceof GlobalItem) return this.fail(`has ${item.global.name} where a value belongs`);
    if (item === undefined || item instanceof TypedStorage)
      return this.fail("has something else where a value belongs");
    return item;
  }

  list(item: Item | undefined): Constant[] {
    return Array.isArray(item) ? item : this.fail("has something else where a list belongs");
  }

  orderedDict(args: readonly Item[]): Constant {
    const map = new Map<string | number | boolean, Constant>();
    // Python 2 and older writers pass the items along: [[key, value], ...].
    for (const pair of args.length === 0 ? [] : this.list(args[0])) {
      const [key, value] = pair instanceof TupleValue ? pair.elements : this.list(pair);
      map.set(this.#key(key), this.plain(value));
    }
    return map;
  }

  device(args: readonly Item[]): Constant {
    const [type, index] = args;
    return new Device(
      index === undefined || index === null ? this.#text(type) : `${this.#text(type)}:${this.#int(index)}`,
    );
  }

  complex(args: readonly Item[]): Constant {
    const parts = [args[0] ?? 0, args[1] ?? 0].map((part) => this.#number(part));
    return new ObjectValue(
      "complex",
      new Map([
        ["real", parts[0] as number],
        ["imag", parts[1] as number],
      ]),
    );
  }

  /** (storage, offset, sizes, strides[, requires_grad, backward_hooks[, {"conj": True, "neg": True}]]) */
  rebuildTensor(args: readonly Item[]): Constant {
    const [storage, offset, sizes, strides, requiresGrad, , flags] = args;
    if (flags instanceof Map && [...flags.values()].some((flag) => flag === true)) {
      this.fail(
        "has a tensor whose conjugation or negation is pending",
        "Call resolve_conj() or resolve_neg() before saving.",
      );
    }
    const typed = this.#typedStorage(storage);
    return this.#tensor(typed, typed.dtype ?? "uint8", offset, sizes, strides, requiresGrad);
  }

  /** (storage, offset, sizes, strides, requires_grad, backward_hooks, dtype, ...), for dtypes without a storage class. */
  rebuildTensorV3(args: readonly Item[]): Constant {
    const [storage, offset, sizes, strides, requiresGrad, , dtype] = args;
    const scalarType = scalarTypeFromCode(this.#int(dtype));
    return this.#tensor(this.#typedStorage(storage), scalarType, offset, sizes, strides, requiresGrad);
  }

  /** (tensor, requires_grad, backward_hooks) */
  rebuildParameter(args: readonly Item[]): Constant {
    const tensor = args[0];
    if (!(tensor instanceof Tensor)) return this.fail("has a parameter that is no tensor");
    return new Tensor(tensor.dtype, tensor.sizes, tensor.storage, {
      strides: tensor.strides,
      storageOffset: tensor.storageOffset,
      quantization: tensor.quantization,
      requiresGrad: args[1] === true,
    });
  }

  /** (storage, offset, sizes, strides, (qscheme, scale, zero_point[, axis]), requires_grad, backward_hooks) */
  rebuildQTensor(args: readonly Item[]): Constant {
    const [storage, offset, sizes, strides, quantizer, requiresGrad] = args;
    const [scheme, scale, zeroPoint, axis] = this.#elements(quantizer);
    const name = scheme instanceof GlobalItem ? scheme.global.name : "";
    let quantization: Quantization;
    if (name.startsWith("torch.per_tensor")) {
      quantization = { scale: this.#number(scale), zeroPoint: this.#int(zeroPoint) };
    } else if (name.startsWith("torch.per_channel")) {
      quantization = { scale: this.#numbers(scale), zeroPoint: this.#numbers(zeroPoint), axis: this.#int(axis) };
    } else return this.fail("has a quantized tensor of an unknown scheme");
    const typed = this.#typedStorage(storage);
    return this.#tensor(typed, typed.dtype ?? "uint8", offset, sizes, strides, requiresGrad, quantization);
  }

  #tensor(
    { storage }: TypedStorage,
    dtype: ScalarType,
    offset: Item | undefined,
    sizes: Item | undefined,
    strides: Item | undefined,
    requiresGrad: Item | undefined,
    quantization?: Quantization,
  ): Tensor {
    const layout = {
      dtype,
      sizes: this.#elements(sizes).map((size) => this.#int(size)),
      strides: this.#elements(strides).map((stride) => this.#int(stride)),
      storageOffset: this.#int(offset),
      requiresGrad: requiresGrad === true && isFloatingPoint(dtype),
      quantization,
    };
    return viewOf(storage, layout, `a tensor of ${this.#name} in storage ${storage.key}`, this.#archive.file);
  }

  /** `("storage", class, key, device, numel)`: the same key is the same storage. */
  #persistent(id: Item): TypedStorage {
    const [tag, type, key, , numel] = this.#elements(id);
    const dtype = type instanceof GlobalItem ? type.global.storage : undefined;
    if (tag !== "storage" || dtype === undefined) return this.fail("refers to something that is no tensor storage");
    const member = `${this.#name.replace(/\.pkl$/, "")}/${this.#text(key)}`;
    const known = this.#storages.get(member);
    if (known !== undefined) {
      return known.dtype === dtype ? known : new TypedStorage(known.storage, dtype);
    }
    const bytes = this.#archive.read(member);
    const claimed = this.#int(numel) * scalarTypeSize(dtype);
    if (claimed > bytes.byteLength) {
      throw new TrtorchError(
        "archive",
        `the storage ${member} should have ${claimed} bytes and has ${bytes.byteLength}`,
        {
          location: { file: this.#archive.file },
          hint: "The file is damaged: copy or download it again.",
        },
      );
    }
    const storage = new TypedStorage({ bytes: bytes.subarray(0, claimed), key: member }, dtype);
    this.#storages.set(member, storage);
    return storage;
  }

  #global(module: string, name: string): void {
    if (module === "torch" && DTYPES.has(name)) {
      this.#stack.push(scalarTypeCode(name as ScalarType));
      return;
    }
    const global = findGlobal(module, name);
    if (global === undefined) {
      this.fail(
        `asks for ${printable(`${module}.${name}`)}, which is not among the classes and functions that models are made of`,
        "Loading this file in Python could run code of whoever made it. If you trust it: save the model again with torch.jit.save or torch.export.save.",
      );
    }
    this.#stack.push(new GlobalItem(global));
  }

  #reduce(): void {
    const [callable, args] = this.#popN(2);
    const { name, call } =
      callable instanceof GlobalItem ? callable.global : this.fail("calls something that is no function");
    if (call !== undefined) this.#stack.push(call(this, this.#elements(args)));
    // Enum classes are called with the bare value of the member.
    else if (name.startsWith("__torch__")) this.#stack.push(new EnumValue(name, "", this.plain(args)));
    else this.fail(`calls ${name}, which is no function`);
  }

  #newObject(): void {
    const [type] = this.#popN(2);
    const name = type instanceof GlobalItem ? type.global.name : "";
    if (!name.startsWith("__torch__")) this.fail("makes an object of something that is no TorchScript class");
    this.#stack.push(new ObjectValue(name));
  }

  #build(): void {
    const state = this.plain(this.#pop());
    const object = this.#top();
    if (object instanceof ObjectValue) {
      if (state instanceof Map && [...state.keys()].every((key) => typeof key === "string")) {
        for (const [name, value] of state) object.attributes.set(name as string, value);
      } else object.attributes.set(STATE_ATTRIBUTE, state);
    }
    // An OrderedDict's state is Python's business (a state_dict's _metadata).
    else if (!(object instanceof Map)) this.fail("gives a state to something that is no object");
  }

  #setItems(items: readonly Item[]): void {
    const map = this.#dict(this.#top());
    if (items.length % 2 !== 0) this.fail("has a key without a value");
    for (let i = 0; i < items.length; i += 2) map.set(this.#key(items[i]), this.plain(items[i + 1]));
  }

  #dict(item: Item): Map<string | number | boolean, Constant> {
    return item instanceof Map ? item : this.fail("has something else where a dict belongs");
  }

  #key(item: Item | undefined): string | number | boolean {
    if (typeof item === "string" || typeof item === "number" || typeof item === "boolean") return item;
    return this.fail("has a dict with keys that are no strings, numbers or bools");
  }

  // Tuples of arguments may hold classes and storages, so they are made of any items.
  #tuple(items: readonly Item[]): void {
    this.#stack.push(new TupleValue(items as readonly Constant[]));
  }

  #elements(item: Item | undefined): readonly Item[] {
    return item instanceof TupleValue ? item.elements : this.fail("has something else where a tuple belongs");
  }

  #typedStorage(item: Item | undefined): TypedStorage {
    return item instanceof TypedStorage ? item : this.fail("has a tensor without a storage");
  }

  #number(item: Item | undefined): number {
    return typeof item === "number" ? item : this.fail("has something else where a number belongs");
  }

  #numbers(item: Item | undefined): number[] {
    if (item instanceof Tensor) return Array.from(item.toNumbers());
    return this.#elements(item).map((element) => this.#number(element));
  }

  #int(item: Item | undefined): number {
    return Number.isInteger(item) ? (item as number) : this.fail("has something else where an int belongs");
  }

  #text(item: Item | undefined): string {
    return typeof item === "string" ? item : this.fail("has something else where a string belongs");
  }

  #top(): Item {
    const item = this.#stack.at(-1);
    return item === undefined ? this.fail("takes from an empty stack") : item;
  }

  #pop(): Item {
    const item = this.#stack.pop();
    return item === undefined ? this.fail("takes from an empty stack") : item;
  }

  #popN(count: number): Item[] {
    if (this.#stack.length < count) this.fail("takes from an empty stack");
    return this.#stack.splice(this.#stack.length - count);
  }

  #popMark(): Item[] {
    const items = this.#stack;
    this.#stack = this.#marks.pop() ?? this.fail("closes a mark that it never set");
    return items;
  }

  #get(index: number): void {
    const item = this.#memo.get(index);
    if (item === undefined) this.fail(`refers to memo entry ${index}, which it never set`);
    else this.#stack.push(item);
  }

  /** Two's complement, little-endian. */
  #long(length: number): number {
    if (length > 9) this.fail("has an int of more than 64 bits");
    const start = this.#take(length);
    let value = 0n;
    for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(this.#bytes[start + i] as number);
    return Number(length === 0 ? 0n : BigInt.asIntN(length * 8, value));
  }

  #string(length: number): string {
    const start = this.#take(length);
    const bytes = this.#bytes.subarray(start, start + length);
    try {
      return UTF8.decode(bytes);
    } catch {
      return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
    }
  }

  /** A line of ASCII: the names of a GLOBAL. */
  #line(): string {
    const end = this.#bytes.indexOf(10, this.#at);
    if (end < 0) this.fail("breaks off in the middle");
    const line = this.#string(end - this.#at);
    this.#at = end + 1;
    return line;
  }

  #u8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  #u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  /** Where the next `length` bytes start, once it is known that they are there. */
  #take(length: number): number {
    if (this.#at + length > this.#bytes.byteLength) this.fail("breaks off in the middle");
    this.#at += length;
    return this.#at - length;
  }

  /**
   * Holds the value to what code that walks it recursively can bear: no cycles, no towers, no small file that unfolds
   * into billions of values. Walks with a stack of its own.
   */
  #checkTree(root: Constant): void {
    const done = new Map<Constant, { depth: number; count: number }>();
    const open = new Set<Constant>();
    const stack: Constant[] = [root];
    for (let value = stack.at(-1); value !== undefined; value = stack.at(-1)) {
      const children = childrenOf(value);
      if (children === undefined || done.has(value)) {
        stack.pop();
      } else if (!open.has(value)) {
        open.add(value);
        for (const child of children) {
          // Only arguments of functions may hold classes and storages.
          this.plain(child);
          if (childrenOf(child) === undefined || done.has(child)) continue;
          if (open.has(child))
            this.fail("has a value that contains itself", "Recursive structures cannot be compiled.");
          stack.push(child);
        }
      } else {
        let depth = 0;
        let count = 1;
        for (const child of children) {
          const inner = done.get(child);
          depth = Math.max(depth, inner?.depth ?? 0);
          count += inner?.count ?? 1;
        }
        if (depth >= DEPTH_LIMIT) this.fail(`has values nested more than ${DEPTH_LIMIT} deep`);
        if (count > VALUE_LIMIT) this.fail(`unfolds into more than ${VALUE_LIMIT} values`);
        done.set(value, { depth: depth + 1, count });
        open.delete(value);
        stack.pop();
      }
    }
  }
}

/** The values within a value; undefined for one that has none by its kind. */
function childrenOf(value: Constant): Iterable<Constant> | undefined {
  if (value === null || typeof value !== "object") return undefined;
  if (Array.isArray(value)) return value;
  if (value instanceof Map) return value.values();
  if (value instanceof TupleValue) return value.elements;
  if (value instanceof ObjectValue) return value.attributes.values();
  if (value instanceof EnumValue) return [value.value];
  return undefined;
}

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function printable(text: string): string {
  const shown = text.replace(/[^\x20-\x7e]/g, "?");
  return shown.length > 100 ? `${shown.slice(0, 100)}...` : shown;
}
