import { createHash } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, stat, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import cacache from "cacache";
import type { StoreSettings } from "../plan/job.js";
import { isErrno } from "../util/atomic-write.js";
import { messageOf, TrtorchError } from "../util/errors.js";
import { openRemote, type Remote } from "./remote-store.js";
import { checkKey, parseEntry, type StoredFile, type StoreEntry, type StoreKey } from "./store-entry.js";

export type { StoredFile, StoreEntry, StoreKey } from "./store-entry.js";

/** What is put: bytes, or a file on disk whose hash is known (it is checked on the way). */
export interface StoreInput {
  readonly name: string;
  readonly content: string | Uint8Array | { readonly path: string; readonly size: number; readonly sha256: string };
}

/**
 * Finished work, by the hash of what it was made from: a folder (cacache) that any number of processes may use at once, and
 * remote ones behind it. Contents are addressed by SHA-256 and verified whenever they are read, so a half-written, damaged or
 * tampered file is a miss, never a wrong artifact.
 *
 * A remote that fails is reported once, left alone from then on, and never fails a build. One that has something damaged is still
 * good for all else, and gets it whole with the next {@link put}.
 */
export class Store {
  readonly #settings: StoreSettings;
  readonly #directory: string;
  /** Those that have not failed. */
  readonly #remotes: Set<Remote>;
  /** What each remote has of other content than its name says. */
  readonly #damaged = new Map<Remote, Set<string>>();
  readonly #warn: (message: string) => void;

  constructor(settings: StoreSettings, warn: (message: string) => void) {
    this.#settings = settings;
    this.#directory = settings.directory;
    this.#warn = warn;
    this.#remotes = new Set(settings.remotes.map((remote) => openRemote(remote)));
  }

  /** What this store was opened with, without the remotes that have failed since: for another process. */
  get settings(): StoreSettings {
    return { ...this.#settings, remotes: [...this.#remotes].map(({ settings }) => settings) };
  }

  /**
   * The entry with all its files at hand, fetched from a remote where need be; null when nobody has it whole, and when
   * `signal` ends the waiting for a remote.
   */
  async get(key: StoreKey, signal: AbortSignal = NEVER): Promise<StoreEntry | null> {
    checkKey(key);
    const local = await this.#getLocal(key);
    if (local !== null) return local;
    for (const remote of this.#remotes) {
      if (!remote.settings.read) continue;
      const entry = await this.#ask(remote, signal, () => this.#fetch(remote, key, signal));
      if (entry !== null) return entry;
    }
    return null;
  }

  /** One file of an entry; null where its content is gone or damaged. */
  async read(entry: StoreEntry, name: string): Promise<Buffer | null> {
    const file = entry.files.find((candidate) => candidate.name === name);
    if (file === undefined) return null;
    try {
      return await cacache.get.byDigest(this.#directory, integrity(file.sha256), { size: file.size, memoize: false });
    } catch (error) {
      await this.#forgetDamaged(file, error);
      return null;
    }
  }

  /** Writes all files of an entry into an existing folder. False where a content is gone or damaged. */
  async restore(entry: StoreEntry, directory: string): Promise<boolean> {
    for (const file of entry.files) {
      const target = join(directory, file.name);
      await mkdir(dirname(target), { recursive: true });
      try {
        if (file.size === 0) await writeFile(target, "");
        else
          await pipeline(
            cacache.get.stream.byDigest(this.#directory, integrity(file.sha256), { size: file.size }),
            createWriteStream(target),
          );
      } catch (error) {
        if (!isDamage(error)) throw error;
        await this.#forgetDamaged(file, error);
        return false;
      }
    }
    return true;
  }

  /** Keeps files under a key, here and in the remotes that take writes; `signal` ends the waiting for those. */
  async put(
    key: StoreKey,
    inputs: readonly StoreInput[],
    metadata: unknown,
    signal: AbortSignal = NEVER,
  ): Promise<StoreEntry> {
    checkKey(key);
    const files: StoredFile[] = [];
    for (const input of inputs) files.push(await this.#putBlob(input));
    const entry: StoreEntry = { files, metadata };
    await this.#insertEntry(key, entry);
    for (const remote of this.#remotes) {
      if (!remote.settings.write) continue;
      await this.#ask(remote, signal, async () => {
        for (const file of files) {
          const damaged = this.#damaged.get(remote);
          if (damaged?.has(file.sha256) !== true && (await remote.hasBlob(file, signal))) continue;
          await remote.putBlob(file, await this.#blobPath(file), signal);
          damaged?.delete(file.sha256);
        }
        // The entry goes last: who sees it can have every file.
        await remote.putEntry(key, JSON.stringify(entry), signal);
      });
    }
    return entry;
  }

  /**
   * Removes the entries that have not been used for longest, until the rest takes at most `maxSize` bytes.
   * A build that runs meanwhile may lose an entry and build again; it never gets a wrong one.
   */
  async prune(maxSize: number): Promise<{ removed: number; freed: number; kept: number; size: number }> {
    const index: Record<string, cacache.CacheObject> = await cacache.ls(this.#directory).catch(() => ({}));
    const entries: { key: string; entry: StoreEntry; used: number }[] = [];
    for (const [indexKey, info] of Object.entries(index)) {
      if (!indexKey.startsWith("entry:")) continue;
      const entry = await this.#getLocal(indexKey.slice("entry:".length) as StoreKey, false);
      const used = await stat(info.path).then(
        (stats) => stats.mtimeMs,
        () => 0,
      );
      entries.push({ key: indexKey, entry: entry ?? { files: [], metadata: null }, used });
    }
    entries.sort((a, b) => b.used - a.used);

    const keptBlobs = new Map<string, number>();
    let size = 0;
    let removed = 0;
    for (const { key, entry } of entries) {
      const added = new Map(entry.files.filter((f) => !keptBlobs.has(f.sha256)).map((f) => [f.sha256, f.size]));
      const growth = [...added.values()].reduce((sum, bytes) => sum + bytes, 0);
      if (entry.files.length > 0 && removed === 0 && size + growth <= maxSize) {
        size += growth;
        for (const [sha256, bytes] of added) keptBlobs.set(sha256, bytes);
      } else {
        removed++;
        await cacache.rm.entry(this.#directory, key);
        await cacache.rm.content(this.#directory, index[key]?.integrity ?? "").catch(() => {});
      }
    }
    let freed = 0;
    for (const [indexKey, info] of Object.entries(index)) {
      if (!indexKey.startsWith("blob:") || keptBlobs.has(indexKey.slice("blob:".length))) continue;
      freed += info.size ?? 0;
      await cacache.rm.entry(this.#directory, indexKey);
      await cacache.rm.content(this.#directory, info.integrity);
    }
    return { removed, freed, kept: entries.length - removed, size };
  }

  /** Entries and bytes held here. */
  async statistics(): Promise<{ entries: number; size: number }> {
    const index = Object.entries(await cacache.ls(this.#directory).catch(() => ({})));
    return {
      entries: index.filter(([key]) => key.startsWith("entry:")).length,
      size: index.reduce((sum, [key, info]) => sum + (key.startsWith("blob:") ? (info.size ?? 0) : 0), 0),
    };
  }

  async #getLocal(key: StoreKey, touch = true): Promise<StoreEntry | null> {
    const info = await cacache.get.info(this.#directory, `entry:${key}`);
    if (info === null) return null;
    try {
      const data = await cacache.get.byDigest(this.#directory, info.integrity, { memoize: false });
      const entry = parseEntry(data.toString());
      for (const file of entry.files) if (!(await this.#hasBlob(file))) return null;
      // The time of last use, for prune.
      if (touch) await utimes(info.path, new Date(), new Date());
      return entry;
    } catch {
      // Whatever is wrong with an entry, having none is right.
      return null;
    }
  }

  async #hasBlob(file: StoredFile): Promise<boolean> {
    const found = await cacache.get.hasContent(this.#directory, integrity(file.sha256));
    return found !== false && found.size === file.size;
  }

  async #blobPath(file: StoredFile): Promise<string> {
    const info = await cacache.get.info(this.#directory, `blob:${file.sha256}`);
    if (info === null) throw new TrtorchError("artifact", `the store lost ${file.name} while it was being shared`);
    return info.path;
  }

  async #putBlob({ name, content }: StoreInput): Promise<StoredFile> {
    if (typeof content !== "string" && !(content instanceof Uint8Array)) {
      const file: StoredFile = { name, size: content.size, sha256: content.sha256 };
      await this.#insertBlob(file, () => createReadStream(content.path));
      return file;
    }
    const data = typeof content === "string" ? Buffer.from(content) : content;
    const file: StoredFile = { name, size: data.byteLength, sha256: createHash("sha256").update(data).digest("hex") };
    await this.#insertBlob(file, () => Readable.from([data]));
    return file;
  }

  /**
   * Nothing is read or written for a content that is here already: whoever reads it verifies it. False where there is nothing to
   * open.
   *
   * @throws an error with code EINTEGRITY or EBADSIZE where the stream is not what `file` says.
   */
  async #insertBlob(file: StoredFile, open: () => Readable | Promise<Readable | null>): Promise<boolean> {
    const key = `blob:${file.sha256}`;
    const options = { integrity: integrity(file.sha256), size: file.size, algorithms: SHA256 };
    const found = await cacache.get.hasContent(this.#directory, options.integrity);
    if (found !== false) {
      if (found.size === file.size && (await cacache.get.info(this.#directory, key)) !== null) return true;
      // cacache keeps a content that is already there, also a truncated one.
      if (found.size !== file.size) await cacache.rm.content(this.#directory, options.integrity);
    }
    if (file.size === 0) await cacache.put(this.#directory, key, Buffer.alloc(0), options);
    else {
      const content = await open();
      if (content === null) return false;
      await pipeline(content, cacache.put.stream(this.#directory, key, options));
    }
    return true;
  }

  async #insertEntry(key: StoreKey, entry: StoreEntry): Promise<void> {
    await cacache.put(this.#directory, `entry:${key}`, JSON.stringify(entry), { algorithms: SHA256 });
  }

  async #forgetDamaged(file: StoredFile, error: unknown): Promise<void> {
    if (!isDamage(error)) throw error;
    await cacache.rm.content(this.#directory, integrity(file.sha256)).catch(() => {});
  }

  /** Null where the remote has no such entry, or has it no longer whole. */
  async #fetch(remote: Remote, key: StoreKey, signal: AbortSignal): Promise<StoreEntry | null> {
    const text = await remote.getEntry(key, signal);
    if (text === null) return null;
    let entry: StoreEntry;
    try {
      entry = parseEntry(text);
    } catch (error) {
      this.#remoteDamaged(remote, error);
      return null;
    }
    for (const file of entry.files) {
      try {
        if (!(await this.#insertBlob(file, () => remote.getBlob(file, signal)))) return null;
      } catch (error) {
        if (!isErrno(error, "EINTEGRITY", "EBADSIZE")) throw error;
        this.#remoteDamaged(remote, error).add(file.sha256);
        return null;
      }
    }
    await this.#insertEntry(key, entry);
    return entry;
  }

  /** The blobs that are known to be damaged there. */
  #remoteDamaged(remote: Remote, error: unknown): Set<string> {
    const known = this.#damaged.get(remote);
    if (known !== undefined) return known;
    const reason = messageOf(error);
    this.#warn(`the shared store ${remote.settings.location} is damaged, and is made whole where it can be: ${reason}`);
    const blobs = new Set<string>();
    this.#damaged.set(remote, blobs);
    return blobs;
  }

  /** Null where the remote failed, now or while others asked it. */
  async #ask<T>(remote: Remote, signal: AbortSignal, work: () => Promise<T>): Promise<T | null> {
    if (signal.aborted) return null;
    try {
      return await work();
    } catch (error) {
      // Several may have asked at once; and who was told to stop has no complaint.
      if (!signal.aborted && this.#remotes.delete(remote)) {
        const reason = messageOf(error);
        this.#warn(`the shared store ${remote.settings.location} failed and is left out of this run: ${reason}`);
      }
      return null;
    }
  }
}

const SHA256: [string] = ["sha256"];

const NEVER = new AbortController().signal;

/** cacache's spelling of a hash. */
function integrity(sha256: string): string {
  return `sha256-${Buffer.from(sha256, "hex").toString("base64")}`;
}

/** The content is gone, of the wrong size, or not what its hash says. */
function isDamage(error: unknown): boolean {
  return isErrno(error, "ENOENT", "EINTEGRITY", "EBADSIZE");
}
