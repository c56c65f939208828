/** A GPU as the driver describes it. */
export interface Device {
  /** `GPU-…`, as nvidia-smi prints it. */
  readonly uuid: string;
  readonly name: string;
  /** Compute capability: 8.6 is major 8, minor 6. */
  readonly major: number;
  readonly minor: number;
  /** Bytes. */
  readonly totalMemory: number;
  /** Bytes, at the moment of asking. */
  readonly freeMemory: number;
  /** The driver's version: "580.65.06". */
  readonly driver: string;
}

/** Finds the machine's GPUs; an empty list where there is no driver. */
export type DeviceDiscovery = () => Promise<readonly Device[]>;

/** Major × 10 + minor. */
export function computeCapability(device: Pick<Device, "major" | "minor">): number {
  return device.major * 10 + device.minor;
}

/** What two GPUs must share for an engine of one to be right for the other: their kind, not their serial number. */
export function deviceKind(device: Pick<Device, "name" | "major" | "minor" | "totalMemory">): string {
  // Memory in whole GiB tells an A100 40 GB from an 80 GB, and forgives a few reserved megabytes.
  return `${device.name} sm_${computeCapability(device)} ${Math.round(device.totalMemory / 2 ** 30)}GiB`;
}
