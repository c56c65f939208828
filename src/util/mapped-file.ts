import { constants } from "node:buffer";
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { TrtorchError } from "./errors.js";
import { loadAddon } from "./native-addon.js";
import { describeUnreadable } from "./system-error.js";

interface CoreAddon {
  mapFile(path: string): ArrayBuffer;
}

let addon: CoreAddon | null | undefined;

/**
 * The bytes of a file: a read-only memory map where the native addon is built, so that weights are paged in when they
 * are used and never copied; else the file read whole. Never write to the result.
 *
 * @throws TrtorchError `archive` for a path that cannot be read
 */
export function mapFile(path: string): Uint8Array {
  try {
    return map(path);
  } catch (cause) {
    throw new TrtorchError("archive", `cannot read ${path}: ${describeUnreadable(cause)}`, {
      location: { file: path },
      cause,
    });
  }
}

function map(path: string): Uint8Array {
  const descriptor = openSync(path, "r");
  try {
    const size = fstatSync(descriptor).size;
    // Node 20 and 21 abort when they are handed a longer map.
    if (size > constants.MAX_LENGTH) {
      throw new RangeError(
        `it has more than the ${constants.MAX_LENGTH / 2 ** 30} GiB that this Node.js takes; 22.3 takes more`,
      );
    }
    if (addon === undefined) addon = loadCore();
    // An empty file cannot be mapped.
    if (addon !== null && size > 0) return new Uint8Array(addon.mapFile(path));
    const bytes = new Uint8Array(size);
    // In pieces, because one read returns 2 GiB at most.
    for (let at = 0; at < size; ) {
      const count = readSync(descriptor, bytes, at, Math.min(size - at, 1 << 30), null);
      if (count === 0) return bytes.subarray(0, at);
      at += count;
    }
    return bytes;
  } finally {
    closeSync(descriptor);
  }
}

function loadCore(): CoreAddon | null {
  try {
    return loadAddon<CoreAddon>("trtorch_core") ?? null;
  } catch {
    // Built for another machine; reading works without it.
    return null;
  }
}
