import type {
  ArtifactKind,
  Backend,
  BuilderSettings,
  Fallback,
  JobInput,
  MutatedBuffers,
  Precision,
  Requirements,
  StoreSettings,
  Target,
  Tolerance,
} from "../plan/job.js";

/** The names that are looked for, the first one first. */
export const CONFIG_NAMES = ["trtorch.config.yaml", "trtorch.config.yml"] as const;

/** What a run does after a job has failed: let the running jobs finish, go on with all others, or stop at once. */
export type OnFailure = "finish" | "continue" | "kill";

/** What this tool writes into a cache_dir, and all that it removes from there. */
export const CACHE_ENTRIES = ["store", "logs", "timing", "stat-cache.json", "durations.json"] as const;

/** What a config says of places. */
export interface ConfigFolders {
  /** The config file; null where the models came from the command line. */
  readonly file: string | null;
  /** What relative paths are relative to. */
  readonly root: string;
  readonly outDir: string;
  readonly cacheDir: string;
}

/** What can be said of a config whose models are not there, or not yet. */
export interface ConfigOutline extends ConfigFolders {
  /** Paths and globs of models, golden files and converters, relative to the root or absolute. */
  readonly patterns: readonly string[];
}

/** A config in which nothing is missing or wrong: paths are absolute, globs expanded, defaults filled in. */
export interface Config extends ConfigFolders {
  readonly models: readonly ModelConfig[];
  /** CPU-only jobs at once; null: as many as there are cores. */
  readonly concurrency: number | null;
  /** UUIDs or indices; null: all. */
  readonly devices: readonly string[] | null;
  readonly onFailure: OnFailure;
  readonly remotes: StoreSettings["remotes"];
}

/** One model file with everything that is to be built of it. */
export interface ModelConfig {
  readonly name: string;
  readonly source: string;
  readonly method: string;
  readonly inputs: readonly JobInput[] | null;
  readonly mutatedBuffers: MutatedBuffers;
  readonly backend: Backend;
  readonly targets: readonly Target[];
  readonly precisions: readonly Precision[];
  readonly converters: readonly string[];
  readonly fallback: Fallback | false;
  readonly golden: string | null;
  /** Null leaves the precision's own default. */
  readonly tolerance: Partial<Tolerance> | null;
  readonly torchTensorrt: string | null;
  readonly emit: readonly ArtifactKind[];
  readonly builder: BuilderSettings;
  readonly requires: Requirements;
  /** Milliseconds; null: none. */
  readonly timeout: number | null;
  readonly retries: number;
}
