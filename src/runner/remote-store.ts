import { createReadStream, openAsBlob } from "node:fs";
import { open, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import type { ReadableStream } from "node:stream/web";
import type { StoreSettings } from "../plan/job.js";
import { isErrno, writeFileAtomic } from "../util/atomic-write.js";
import { TrtorchError } from "../util/errors.js";
import type { StoredFile, StoreKey } from "./store-entry.js";

/**
 * A store on another machine, as plain objects: `entries/<key>.json` and `blobs/<sha256>`. All methods throw when the
 * remote misbehaves; the caller decides that this is no reason to fail a build. Content is checked by the caller.
 */
export interface Remote {
  readonly settings: RemoteSettings;
  getEntry(key: StoreKey, signal: AbortSignal): Promise<string | null>;
  /** Null where it is not there. */
  getBlob(file: StoredFile, signal: AbortSignal): Promise<Readable | null>;
  /** Whether there is a blob of the file's size. */
  hasBlob(file: StoredFile, signal: AbortSignal): Promise<boolean>;
  putBlob(file: StoredFile, path: string, signal: AbortSignal): Promise<void>;
  putEntry(key: StoreKey, entry: string, signal: AbortSignal): Promise<void>;
}

export type RemoteSettings = StoreSettings["remotes"][number];

export function openRemote(settings: RemoteSettings): Remote {
  return /^https?:\/\//.test(settings.location) ? new HttpRemote(settings) : new FolderRemote(settings);
}

/**
 * Any server that answers GET, HEAD and PUT: an artifact repository, an object store's signed proxy, nginx with WebDAV.
 * `TRTORCH_BUILD_STORE_TOKEN` is sent as a bearer token where it is set.
 */
class HttpRemote implements Remote {
  readonly settings: RemoteSettings;
  readonly #url: string;

  constructor(settings: RemoteSettings) {
    this.settings = settings;
    this.#url = settings.location.replace(/\/+$/, "");
  }

  async getEntry(key: StoreKey, signal: AbortSignal): Promise<string | null> {
    const response = await this.#request("GET", `entries/${key}.json`, 0, signal);
    if (response.status === 404) return null;
    return accept(response).text();
  }

  async getBlob(file: StoredFile, signal: AbortSignal): Promise<Readable | null> {
    const response = await this.#request("GET", `blobs/${file.sha256}`, file.size, signal);
    if (response.status === 404) return null;
    const { body } = accept(response);
    return body === null ? Readable.from([]) : Readable.fromWeb(body as ReadableStream);
  }

  async hasBlob(file: StoredFile, signal: AbortSignal): Promise<boolean> {
    const head = await this.#request("HEAD", `blobs/${file.sha256}`, 0, signal);
    // A server may not say how long a blob is, or how long it is once it is packed.
    const length = head.headers.has("content-encoding") ? null : head.headers.get("content-length");
    return head.ok && (length === null || Number(length) === file.size);
  }

  async putBlob(file: StoredFile, path: string, signal: AbortSignal): Promise<void> {
    // A Blob gives the request a Content-Length, which object stores insist on, without reading the file into memory.
    accept(await this.#request("PUT", `blobs/${file.sha256}`, file.size, signal, await openAsBlob(path)));
  }

  async putEntry(key: StoreKey, entry: string, signal: AbortSignal): Promise<void> {
    accept(await this.#request("PUT", `entries/${key}.json`, 0, signal, entry));
  }

  async #request(
    method: string,
    path: string,
    size: number,
    signal: AbortSignal,
    body?: Blob | string,
  ): Promise<Response> {
    const token = process.env.TRTORCH_BUILD_STORE_TOKEN;
    // Patience for 1 MB/s at least; a server that hangs must not hang the build.
    const timeout = 30_000 + Math.ceil(size / 1_000);
    try {
      return await fetch(`${this.#url}/${path}`, {
        method,
        signal: AbortSignal.any([signal, AbortSignal.timeout(timeout)]),
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
  readonly settings: RemoteSettings;

  constructor(settings: RemoteSettings) {
    this.settings = settings;
  }

  async getEntry(key: StoreKey): Promise<string | null> {
    // A share that is not mounted is a failure worth a word; an entry that is not there is not.
    await stat(this.settings.location);
    return readFile(this.#entryPath(key), "utf8").catch(nullIfMissing);
  }

  async getBlob(file: StoredFile): Promise<Readable | null> {
    const handle = await open(this.#blobPath(file)).catch(nullIfMissing);
    return handle?.createReadStream() ?? null;
  }

  async hasBlob(file: StoredFile): Promise<boolean> {
    await stat(this.settings.location);
    return (await stat(this.#blobPath(file)).catch(nullIfMissing))?.size === file.size;
  }

  async putBlob(file: StoredFile, path: string): Promise<void> {
    await writeFileAtomic(this.#blobPath(file), createReadStream(path));
  }

  async putEntry(key: StoreKey, entry: string): Promise<void> {
    await writeFileAtomic(this.#entryPath(key), entry);
  }

  #entryPath(key: StoreKey): string {
    return join(this.settings.location, "entries", `${key}.json`);
  }

  #blobPath(file: StoredFile): string {
    return join(this.settings.location, "blobs", file.sha256.slice(0, 2), file.sha256);
  }
}

function nullIfMissing(error: unknown): null {
  if (isErrno(error, "ENOENT")) return null;
  throw error;
}
