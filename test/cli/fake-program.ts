import { start } from "../../src/cli/start.js";
import { fakeContext } from "./fake-context.js";

// The command line as a process of its own, for tests that kill it.

const { machine, startWorker } = fakeContext({});
await start({ machine, startWorker });
