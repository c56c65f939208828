import { open, stat } from "node:fs/promises";
import { isErrno } from "../util/atomic-write.js";
import { TrtorchError } from "../util/errors.js";
import { describeUnreadable } from "../util/system-error.js";

export interface FileHead {
  /** Bytes of the whole file. */
  readonly size: number;
  readonly head: Buffer;
}

/**
 * The first bytes of a file, which tell its kind.
 *
 * @throws TrtorchError `usage` where it cannot be read; `name` is what the person called it
 */
export async function readHead(file: string, name: string): Promise<FileHead> {
  try {
    const { size } = await stat(file);
    const handle = await open(file);
    try {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(64), 0, 64, 0);
      return { size, head: buffer.subarray(0, bytesRead) };
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (!isErrno(error, "ENOENT", "EISDIR", "EACCES")) throw error;
    throw new TrtorchError("usage", `cannot read ${name}: ${describeUnreadable(error)}`, { cause: error });
  }
}
