import { resolve } from "node:path";
import { TrtorchError } from "../../util/errors.js";
import type { CliContext } from "../context.js";
import type { Reporter } from "./reporter.js";

const KNOWN = "tty, plain, json, github, junit=FILE";

/**
 * The reporters asked for; none asked for: a terminal gets bars, everything else lines, GitHub Actions its annotations too.
 * Each is loaded only when it is used.
 *
 * @throws TrtorchError `usage` for an unknown one
 */
export async function createReporters(names: readonly string[], context: CliContext): Promise<Reporter[]> {
  const chosen = names.length > 0 ? [...new Set(names)] : defaults(context);
  return Promise.all(chosen.map((name) => createReporter(name, context)));
}

// A pipeline leaves a variable empty to take it away.
function defaults(context: CliContext): string[] {
  const main = context.terminalRows !== null && !context.env.CI ? "tty" : "plain";
  return context.env.GITHUB_ACTIONS === "true" ? [main, "github"] : [main];
}

async function createReporter(text: string, context: CliContext): Promise<Reporter> {
  const [name, file] = text.split(/=(.*)/s) as [string, string | undefined];
  switch (name) {
    case "tty": {
      const { TtyReporter } = await import("./tty.js");
      return new TtyReporter(context.stdout, context.terminalRows ?? 24);
    }
    case "plain": {
      const { PlainReporter } = await import("./plain.js");
      return new PlainReporter(context.stdout);
    }
    case "json": {
      const { JsonReporter } = await import("./json.js");
      return new JsonReporter(context.stdout);
    }
    case "github": {
      const { GithubReporter } = await import("./github.js");
      return new GithubReporter(context.stdout, context.env.GITHUB_STEP_SUMMARY || null, context.cwd);
    }
    case "junit": {
      if (file === undefined || file === "") {
        throw new TrtorchError("usage", "the reporter junit needs a file", { hint: "--reporter junit=report.xml" });
      }
      const { JunitReporter } = await import("./junit.js");
      return new JunitReporter(resolve(context.cwd, file));
    }
    default:
      throw new TrtorchError("usage", `there is no reporter "${name}"`, { hint: `the reporters are ${KNOWN}` });
  }
}
