import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeFakeGpu } from "../backends/tensorrt/fake-gpu/make.js";
import { type Finished, start } from "./project.js";

/** A machine whose GPU and TensorRT 10.6 are fakes, in an empty folder. */
export class FakeMachine {
  readonly #folder: string;
  readonly #libraries: string;

  private constructor(folder: string, libraries: string) {
    this.#folder = folder;
    this.#libraries = libraries;
  }

  /** Writes `double.engine` (y = 2 x, x [1..8, 4] or [9..64, 4]) and `other.engine` (for another GPU). */
  static async make(folder: string): Promise<FakeMachine> {
    writeFileSync(join(folder, "double.engine"), plan("GOOD"));
    writeFileSync(join(folder, "other.engine"), plan("OTHER"));
    return new FakeMachine(folder, await makeFakeGpu(folder));
  }

  /** The command line in the folder, as a process that finds the fakes. */
  run(...args: string[]): Promise<Finished> {
    return start(this.#folder, args, { LD_LIBRARY_PATH: this.#libraries, TENSORRT_ROOT: "" }).finished;
  }
}

/** What an engine of TensorRT 10.6 begins with, and the mark that the fake library looks at. */
export function plan(mark: string): Uint8Array {
  const bytes = Buffer.alloc(64);
  bytes.write("ftrt");
  bytes.set([10, 6, 0, 26], 24);
  bytes.write(mark, 28);
  return bytes;
}
