import type { ScalarType } from "./scalar-type.js";

/** A dim that is known only at run time, within bounds. Dims with the same symbol are always equal to each other. */
export interface DimRange {
  readonly min: number;
  readonly opt: number;
  readonly max: number;
  /** The smallest size that the program takes, where that is below `min`. */
  readonly least?: number;
  /** A name that ties dims together; without one the dim is on its own. */
  readonly symbol?: string;
}

/** A tensor that a compiled method takes. */
export interface InputSpec {
  readonly name: string;
  readonly dtype: ScalarType;
  readonly dims: readonly (number | DimRange)[];
  /** In place of a buffer: the caller passes what the run before gave, and a config need not describe it. */
  readonly isState?: true;
}
