import { createReadStream, openAsBlob } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import type { ReadableStream } from "node:stream/web";
import type { StoreSettings } from "../plan/job.js";
import { isErrno, writeFileAtomic } from "../util/atomic-write.js";
import { TrtorchError } from "../util/errors.js";
import { parseEntry, type StoredFile, type StoreEntry, type StoreKey } from "./store-entry.js";

/**
 * A store on another machine, as plain objects: `entries/<key>.json` and `blobs/<sha256>`. All methods throw when the
 * remote misbehaves; the caller decides that this is no reason to fail a build. Content is checked by the caller.
 */
export interface Remote {
  readonly location: string;
  readonly read: boolean;
  readonly write: boolean;
  /** Set after a failure: it is left alone from then on. */
  failed: boolean;
  getEntry(key: StoreKey): Promise<StoreEntry | null>;
  getBlob(file: StoredFile): Promise<Readable>;
  /** Does nothing where the remote has it. */
  putBlob(file: StoredFile, path: string): Promise<void>;
  putEntry(key: StoreKey, entry: StoreEntry): Promise<void>;
}

export function openRemote(settings: StoreSettings["remotes"][number]): Remote {
  return /^https?:\/\//.test(settings.location) ? new HttpRemote(settings) : new FolderRemote(settings);
}

/**
 * Any server that answers GET, HEAD and PUT: an artifact repository, an object store's signed proxy, nginx with WebDAV.
 * `TRTORCH_BUILD_STORE_TOKEN` is sent as a bearer token where it is set.
 */
class HttpRemote implements Remote {
  readonly location: string;
  readonly read: boolean;
  readonly write: boolean;
  failed = false;

  constructor({ location, read, write }: StoreSettings["remotes"][number]) {
    this.location = location.replace(/\/+$/, "");
    this.read = read;
    this.write = write;
  }

  async getEntry(key: StoreKey): Promise<StoreEntry | null> {
    const response = await this.#request("GET", `entries/${key}.json`, 0);
    if (response.status === 404) return null;
    return parseEntry(await accept(response).text());
  }

  async getBlob(file: StoredFile): Promise<Readable> {
    const response = accept(await this.#request("GET", `blobs/${file.sha256}`, file.size));
    return response.body === null ? Readable.from([]) : Readable.fromWeb(response.body as ReadableStream);
  }

  async putBlob(file: StoredFile, path: string): Promise<void> {
    const head = await this.#request("HEAD", `blobs/${file.sha256}`, 0);
    if (head.ok) return;
    // A Blob gives the request a Content-Length, which object stores insist on, without reading the file into memory.
    accept(await this.#request("PUT", `blobs/${file.sha256}`, file.size, await openAsBlob(path)));
  }

  async putEntry(key: StoreKey, entry: StoreEntry): Promise<void> {
    accept(await this.#request("PUT", `entries/${key}.json`, 0, JSON.stringify(entry)));
  }

  async #request(method: string, path: string, size: number, body?: Blob | string): Promise<Response> {
    const token = process.env.TRTORCH_BUILD_STORE_TOKEN;
    // Patience for 1 MB/s at least; a server that hangs must not hang the build.
    const timeout = 30_000 + Math.ceil(size / 1_000);
    try {
      return await fetch(`${this.location}/${path}`, {
        method,
        signal: AbortSignal.timeout(timeout),
        ...(body !== undefined && { body }),
        ...(token !== undefined && token !== "" && { headers: { authorization: `Bearer ${token}` } }),
      });
    } catch (error) {
      // fetch hides the reason ("fetch failed") in the cause.
      const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
      throw new TrtorchError("artifact", `${method} ${path}: ${cause}`, { cause: error });
    }
  }
}

function accept(response: Response): Response {
  // 409: another job was first with the same content, which is as good.
  if (response.ok || response.status === 409) return response;
  throw new TrtorchError("artifact", `the server answered ${response.status} ${response.statusText}`.trimEnd());
}

/** A folder that several machines mount. */
class FolderRemote implements Remote {
  readonly location: string;
  readonly read: boolean;
  readonly write: boolean;
  failed = false;

  constructor({ location, read, write }: StoreSettings["remotes"][number]) {
    this.location = location;
    this.read = read;
    this.write = write;
  }

  async getEntry(key: StoreKey): Promise<StoreEntry | null> {
    // A share that is not mounted is a failure worth a word; an entry that is not there is not.
    await stat(this.location);
    try {
      return parseEntry(await readFile(this.#entryPath(key), "utf8"));
    } catch (error) {
      if (isErrno(error, "ENOENT")) return null;
      throw error;
    }
  }

  async getBlob(file: StoredFile): Promise<Readable> {
    return createReadStream(this.#blobPath(file));
  }

  async putBlob(file: StoredFile, path: string): Promise<void> {
    await stat(this.location);
    const target = this.#blobPath(file);
    const present = await stat(target).then(
      (stats) => stats.size === file.size,
      () => false,
    );
    if (!present) await writeFileAtomic(target, createReadStream(path));
  }

  async putEntry(key: StoreKey, entry: StoreEntry): Promise<void> {
    await writeFileAtomic(this.#entryPath(key), JSON.stringify(entry));
  }

  #entryPath(key: StoreKey): string {
    return join(this.location, "entries", `${key}.json`);
  }

  #blobPath(file: StoredFile): string {
    return join(this.location, "blobs", file.sha256.slice(0, 2), file.sha256);
  }
}
