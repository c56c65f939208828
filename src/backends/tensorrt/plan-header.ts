import type { Flavour } from "./flavour.js";

/** What the first bytes of a serialized engine say about its origin. */
export interface PlanHeader {
  readonly product: "TensorRT" | "TensorRT-RTX";
  /** The whole version, as `10.6.0.26`. */
  readonly version: string;
  /** Undefined for a release of the full TensorRT that no flavour covers. */
  readonly flavour: Flavour | undefined;
}

const PRODUCTS: Readonly<Record<string, PlanHeader["product"]>> = { ftrt: "TensorRT", vtrt: "TensorRT-RTX" };

/** The version stands as four bytes here, in the engines of TensorRT 10 and of TensorRT-RTX 1. */
const VERSION_OFFSET = 24;

/**
 * Reads which library built an engine. The format is the library's own and not documented, so this serves messages and
 * the choice of a library to try; undefined for bytes that do not look like an engine.
 */
export function readPlanHeader(bytes: Uint8Array): PlanHeader | undefined {
  const product = PRODUCTS[Buffer.from(bytes.subarray(0, 4)).toString("latin1")];
  if (product === undefined || bytes.length < VERSION_OFFSET + 4) return undefined;
  const version = [...bytes.subarray(VERSION_OFFSET, VERSION_OFFSET + 4)];
  const flavours: Readonly<Record<number, Flavour>> =
    product === "TensorRT-RTX" ? { 1: "rtx" } : { 10: "trt10", 11: "trt11" };
  return { product, version: version.join("."), flavour: flavours[version[0] ?? 0] };
}
