import type { StoreSettings } from "../plan/job.js";
import { Store, type StoreKey } from "../runner/store.js";
import { messageOf } from "../util/errors.js";

/** An engine by the key of its network, library and target. */
export interface KeptEngine {
  readonly engine: Uint8Array;
  readonly sha256: string | undefined;
}

/** The stores that this process has opened, by their settings. A shared store that failed one job is left alone by the next. */
const opened = new Map<string, EngineStore>();

/** Engines that were built before, here or elsewhere. Where it fails, the work is done: a warning is all. */
export class EngineStore {
  readonly #store: Store;
  #warn: (message: string) => void;

  /** @param warn the way to the job that asks, until the next one does */
  static open(settings: StoreSettings, warn: (message: string) => void): EngineStore {
    const key = JSON.stringify(settings);
    const store = opened.get(key) ?? new EngineStore(settings, warn);
    opened.set(key, store);
    store.#warn = warn;
    return store;
  }

  private constructor(settings: StoreSettings, warn: (message: string) => void) {
    this.#warn = warn;
    this.#store = new Store(settings, (message) => this.#warn(message));
  }

  async get(key: StoreKey, signal: AbortSignal): Promise<KeptEngine | null> {
    try {
      const entry = await this.#store.get(key, signal);
      const engine = entry === null ? null : await this.#store.read(entry, FILE);
      return engine === null ? null : { engine, sha256: entry?.files[0]?.sha256 };
    } catch (error) {
      this.#warn(`cannot take an engine from the store: ${messageOf(error)}`);
      return null;
    }
  }

  /** Gives the engine's hash, where keeping it has computed it. */
  async put(key: StoreKey, engine: Uint8Array, metadata: unknown, signal: AbortSignal): Promise<string | undefined> {
    try {
      const { files } = await this.#store.put(key, [{ name: FILE, content: engine }], metadata, signal);
      return files[0]?.sha256;
    } catch (error) {
      this.#warn(`cannot keep an engine in the store: ${messageOf(error)}`);
      return undefined;
    }
  }
}

const FILE = "engine";
