import { main } from "../../src/cli/main.js";
import { fakeContext } from "./fake-context.js";

// The command line as a process of its own, for tests that kill it.

const context = fakeContext({
  cwd: process.cwd(),
  stdout: (text) => process.stdout.write(text),
  stderr: (text) => process.stderr.write(text),
  onSignal: (handler) => {
    process.on("SIGINT", handler).on("SIGTERM", handler);
    return () => process.off("SIGINT", handler).off("SIGTERM", handler);
  },
});
const code = await main(process.argv.slice(2), context);
process.stdout.write("", () => process.exit(code));
