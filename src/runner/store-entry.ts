import { TrtorchError } from "../util/errors.js";

/** `job-<64 hex>` for a whole job's artifacts, `network-<64 hex>` for what one network was built to. */
export type StoreKey = `${"job" | "network"}-${string}`;

export interface StoredFile {
  /** Relative to the folder it belongs in, with forward slashes. */
  readonly name: string;
  readonly size: number;
  /** Hex. */
  readonly sha256: string;
}

export interface StoreEntry {
  readonly files: readonly StoredFile[];
  /** Whatever the writer wants back: plain JSON. */
  readonly metadata: unknown;
}

/** Reads an entry, which may come from anywhere: its names must stay inside the folder they are restored to. */
export function parseEntry(text: string): StoreEntry {
  const entry: unknown = JSON.parse(text);
  if (typeof entry !== "object" || entry === null || !("files" in entry) || !Array.isArray(entry.files)) {
    throw new TrtorchError("artifact", "a store entry is not what this version writes");
  }
  for (const file of entry.files as Partial<Record<keyof StoredFile, unknown>>[]) {
    const { name, size, sha256 } = file;
    const safe = typeof name === "string" && name !== "" && !/^[/\\]|[\\:\0]|(^|\/)\.\.?(\/|$)/.test(name);
    if (!safe || !Number.isSafeInteger(size) || typeof sha256 !== "string" || !/^[0-9a-f]{64}$/.test(sha256)) {
      throw new TrtorchError("artifact", `a store entry names a bad file: ${JSON.stringify(file)}`);
    }
  }
  return { files: entry.files as StoredFile[], metadata: "metadata" in entry ? entry.metadata : null };
}

/** Keys become file names and URLs. */
export function checkKey(key: string): void {
  if (!/^(job|network)-[0-9a-f]{64}$/.test(key)) throw new TrtorchError("internal", `not a store key: ${key}`);
}
