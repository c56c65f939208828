import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { z } from "zod";
import { isErrno, writeFileAtomic } from "../util/atomic-write.js";
import { parseChecked } from "../util/checked-json.js";

export interface FileIdentity {
  readonly size: number;
  /** Hex. */
  readonly sha256: string;
}

interface Entry extends FileIdentity {
  /** `mtime:ctime:inode`, nanoseconds. */
  readonly stamp: string;
}

const CACHE = z.object({
  version: z.literal(1),
  files: z.record(z.string(), z.object({ size: z.number(), sha256: z.string(), stamp: z.string() })),
});

/** A file changed this shortly before it was hashed could change again within the same tick of the file system's clock. */
const RACY_NS = 2_000_000_000n;

/**
 * SHA-256 of files, without reading them again while size, times and inode are those of the last reading: what makes a run that has
 * nothing to do take milliseconds over gigabytes of models.
 */
export class StatCache {
  readonly #file: string | null;
  readonly #entries: Map<string, Entry>;
  readonly #pending = new Map<string, Promise<FileIdentity>>();
  #changed = false;

  private constructor(file: string | null, entries: Map<string, Entry>) {
    this.#file = file;
    this.#entries = entries;
  }

  /** A cache that forgets everything when the process ends. */
  static inMemory(): StatCache {
    return new StatCache(null, new Map());
  }

  /** A missing or unreadable file is an empty cache. */
  static async open(file: string): Promise<StatCache> {
    const text = await readFile(file, "utf8").catch(() => "null");
    const read = parseChecked<{ files: Record<string, Entry> }>(text, CACHE);
    return new StatCache(file, new Map(Object.entries(read?.files ?? {})));
  }

  /** @throws the file system's error where the file cannot be read */
  async identify(path: string): Promise<FileIdentity> {
    // Many jobs share a model file; it is looked at once.
    let pending = this.#pending.get(path);
    if (pending === undefined) {
      pending = this.#identify(path);
      this.#pending.set(path, pending);
    }
    return pending;
  }

  /** Whether a file is another one by now, or gone, than {@link identify} said. A look at its times, where they are the same. */
  async hasChanged(path: string): Promise<boolean> {
    const before = await this.identify(path);
    try {
      return (await this.#identify(path)).sha256 !== before.sha256;
    } catch (error) {
      if (isErrno(error, "ENOENT", "ENOTDIR")) return true;
      throw error;
    }
  }

  /** Forgets what this process has seen of files, or of one: they may have been written since. */
  lookAgain(path?: string): void {
    if (path === undefined) this.#pending.clear();
    else this.#pending.delete(path);
  }

  async save(): Promise<void> {
    if (!this.#changed || this.#file === null) return;
    this.#changed = false;
    await writeFileAtomic(this.#file, JSON.stringify({ version: 1, files: Object.fromEntries(this.#entries) }));
  }

  async #identify(path: string): Promise<FileIdentity> {
    const before = await stat(path, { bigint: true });
    const stamp = `${before.mtimeNs}:${before.ctimeNs}:${before.ino}`;
    const known = this.#entries.get(path);
    if (known !== undefined && known.stamp === stamp && known.size === Number(before.size)) return known;

    const hash = createHash("sha256");
    const started = BigInt(Date.now()) * 1_000_000n;
    await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash);
    const entry: Entry = { size: Number(before.size), sha256: hash.digest("hex"), stamp };
    // Nothing can set ctime back, as a copy that keeps mtime would.
    if (before.ctimeNs + RACY_NS < started) {
      this.#entries.set(path, entry);
      this.#changed = true;
    }
    return entry;
  }
}
