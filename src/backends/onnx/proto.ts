import protobuf from "protobufjs";
import type { DataType } from "../../network/enums.js";

/**
 * The part of ONNX's messages that a network needs. Field numbers are those of onnx.proto; names are in camelCase.
 */
export interface OnnxModel {
  readonly irVersion: number;
  readonly producerName: string;
  readonly opsetImport: readonly { readonly domain: string; readonly version: number }[];
  readonly graph: GraphProto;
}

export interface GraphProto {
  readonly name: string;
  readonly node: NodeProto[];
  readonly initializer: TensorProto[];
  readonly input: ValueInfoProto[];
  readonly output: ValueInfoProto[];
}

export interface NodeProto {
  readonly name: string;
  readonly opType: string;
  /** Empty: an optional input that is absent. */
  readonly input: readonly string[];
  readonly output: readonly string[];
  readonly attribute: readonly AttributeProto[];
}

export interface AttributeProto {
  readonly name: string;
  readonly type: number;
  readonly f?: number;
  readonly i?: number;
  readonly s?: Uint8Array;
  readonly g?: GraphProto;
  readonly floats?: readonly number[];
  readonly ints?: readonly number[];
}

export interface TensorProto {
  readonly name: string;
  readonly dataType: number;
  readonly dims: readonly number[];
  /** Little-endian, row-major: may be a view of the mapped model file. */
  readonly rawData?: Uint8Array;
  readonly externalData?: readonly { readonly key: string; readonly value: string }[];
  /** 1: the data stands in another file. */
  readonly dataLocation?: number;
}

export interface ValueInfoProto {
  readonly name: string;
  readonly type: {
    readonly tensorType: {
      readonly elemType: number;
      /** Absent: of any rank. */
      readonly shape?: { readonly dim: readonly { readonly dimValue?: number; readonly dimParam?: string }[] };
    };
  };
}

/** TensorProto.DataType. */
export const ONNX_TYPES: Readonly<Record<DataType, number>> = {
  kFLOAT: 1,
  kUINT8: 2,
  kINT8: 3,
  kINT32: 6,
  kINT64: 7,
  kBOOL: 9,
  kHALF: 10,
  kBF16: 16,
  kFP8: 17,
  kINT4: 22,
};

const ATTRIBUTE_TYPES = { f: 1, i: 2, s: 3, g: 5, floats: 6, ints: 7 } as const;

/** What an attribute may be given as: an integer, a list of integers, a text, a subgraph, or `float(x)`. */
export type AttributeValue = number | readonly number[] | string | GraphProto | { readonly float: number };

export function attribute(name: string, value: AttributeValue): AttributeProto {
  if (typeof value === "number") return { name, type: ATTRIBUTE_TYPES.i, i: value };
  if (typeof value === "string") return { name, type: ATTRIBUTE_TYPES.s, s: new TextEncoder().encode(value) };
  if (isList(value)) return { name, type: ATTRIBUTE_TYPES.ints, ints: value };
  if ("float" in value) return { name, type: ATTRIBUTE_TYPES.f, f: value.float };
  return { name, type: ATTRIBUTE_TYPES.g, g: value };
}

function isList(value: AttributeValue): value is readonly number[] {
  return Array.isArray(value);
}

const root = protobuf.Root.fromJSON({
  nested: {
    ModelProto: {
      fields: {
        irVersion: { id: 1, type: "int64" },
        producerName: { id: 2, type: "string" },
        graph: { id: 7, type: "GraphProto" },
        opsetImport: { id: 8, type: "OperatorSetIdProto", rule: "repeated" },
      },
    },
    OperatorSetIdProto: { fields: { domain: { id: 1, type: "string" }, version: { id: 2, type: "int64" } } },
    GraphProto: {
      fields: {
        node: { id: 1, type: "NodeProto", rule: "repeated" },
        name: { id: 2, type: "string" },
        initializer: { id: 5, type: "TensorProto", rule: "repeated" },
        input: { id: 11, type: "ValueInfoProto", rule: "repeated" },
        output: { id: 12, type: "ValueInfoProto", rule: "repeated" },
      },
    },
    NodeProto: {
      fields: {
        input: { id: 1, type: "string", rule: "repeated" },
        output: { id: 2, type: "string", rule: "repeated" },
        name: { id: 3, type: "string" },
        opType: { id: 4, type: "string" },
        attribute: { id: 5, type: "AttributeProto", rule: "repeated" },
      },
    },
    AttributeProto: {
      fields: {
        name: { id: 1, type: "string" },
        f: { id: 2, type: "float" },
        i: { id: 3, type: "int64" },
        s: { id: 4, type: "bytes" },
        g: { id: 6, type: "GraphProto" },
        floats: { id: 7, type: "float", rule: "repeated" },
        ints: { id: 8, type: "int64", rule: "repeated" },
        type: { id: 20, type: "int32" },
      },
    },
    TensorProto: {
      fields: {
        dims: { id: 1, type: "int64", rule: "repeated" },
        dataType: { id: 2, type: "int32" },
        name: { id: 8, type: "string" },
        rawData: { id: 9, type: "bytes" },
        externalData: { id: 13, type: "StringStringEntryProto", rule: "repeated" },
        dataLocation: { id: 14, type: "int32" },
      },
    },
    StringStringEntryProto: { fields: { key: { id: 1, type: "string" }, value: { id: 2, type: "string" } } },
    ValueInfoProto: { fields: { name: { id: 1, type: "string" }, type: { id: 2, type: "TypeProto" } } },
    TypeProto: {
      fields: { tensorType: { id: 1, type: "Tensor" } },
      nested: {
        Tensor: { fields: { elemType: { id: 1, type: "int32" }, shape: { id: 2, type: "TensorShapeProto" } } },
      },
    },
    TensorShapeProto: {
      fields: { dim: { id: 1, type: "Dimension", rule: "repeated" } },
      nested: {
        Dimension: { fields: { dimValue: { id: 1, type: "int64" }, dimParam: { id: 2, type: "string" } } },
      },
    },
  },
});

const ModelProto = root.lookupType("ModelProto");

/** The model as the bytes of an `.onnx` file. Weights are copied once, into the result. */
export function encodeModel(model: OnnxModel): Uint8Array {
  return ModelProto.encode(model as unknown as Record<string, unknown>).finish();
}
