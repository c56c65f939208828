import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** A task runner beside ours, in a folder where it has as much to do. */
export interface OtherRunner {
  readonly name: string;
  /** Node's arguments. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** What it says when all was done before. */
  readonly allDone: RegExp;
}

/**
 * Makes a folder with `packages/<name>/<name>.ts` files a workspace of Turborepo, with a task a package, and a package of
 * Wireit, with a script a file. A task's input is the one file; its output is kept, so that a second run finds it.
 *
 * @param tools the `node_modules` that holds both
 */
export function setUpOtherRunners(root: string, names: readonly string[], tools: string): OtherRunner[] {
  const build = (folder: string) => `mkdir -p ${folder} && echo built > ${folder}/model.engine`;
  for (const name of names) {
    const manifest = { name, version: "1.0.0", scripts: { build: build("turbo") } };
    writeFileSync(join(root, "packages", name, "package.json"), JSON.stringify(manifest));
  }
  const scripts = names.map((name) => {
    const output = `packages/${name}/wireit`;
    return [
      name,
      { command: build(output), files: [`packages/${name}/${name}.ts`], output: [`${output}/**`] },
    ] as const;
  });
  const manifest = {
    name: "bench",
    private: true,
    packageManager: "npm@11.0.0",
    workspaces: ["packages/*"],
    scripts: Object.fromEntries(["build", ...names].map((name) => [name, "wireit"])),
    wireit: { build: { dependencies: names }, ...Object.fromEntries(scripts) },
  };
  writeFileSync(join(root, "package.json"), JSON.stringify(manifest));
  const tasks = { build: { inputs: ["*.ts"], outputs: ["turbo/**"] } };
  writeFileSync(join(root, "turbo.json"), JSON.stringify({ tasks }));
  // In git Turborepo is at its best: it takes the hashes of files that have not changed from there.
  writeFileSync(join(root, ".gitignore"), "turbo/\nwireit/\n.turbo/\n.wireit/\nengines/\n.trtorch-build/\n");
  must(root, "git", ["init", "--quiet"]);
  must(root, "git", ["-c", "core.compression=0", "add", "."]);
  must(root, "git", ["-c", "user.name=bench", "-c", "user.email=bench@localhost", "commit", "--quiet", "-m", "models"]);
  return [
    {
      name: "Turborepo",
      args: [join(tools, "turbo/bin/turbo"), "run", "build", "--skip-infer", "--output-logs=errors-only"],
      env: { TURBO_TELEMETRY_DISABLED: "1" },
      allDone: new RegExp(`Cached: +${names.length} cached, ${names.length} total`),
    },
    {
      // As npm starts it, without the time that npm takes.
      name: "Wireit",
      args: [join(tools, "wireit/bin/wireit.js")],
      env: { npm_lifecycle_event: "build", npm_package_json: join(root, "package.json"), WIREIT_CACHE: "local" },
      allDone: new RegExp(`Ran 0 scripts and skipped ${names.length} `),
    },
  ];
}

/** A `node_modules` with Turborepo and Wireit: what `given` holds, else installed below `root`; null where it cannot be had. */
export function findOtherRunners(root: string, given: string | undefined): string | null {
  if (given === undefined) {
    mkdirSync(root);
    writeFileSync(join(root, "package.json"), "{}");
    spawnSync("npm", ["install", "--no-audit", "--no-fund", "turbo", "wireit"], { cwd: root });
  }
  const tools = given ?? join(root, "node_modules");
  return ["turbo", "wireit"].every((name) => existsSync(join(tools, name, "package.json"))) ? tools : null;
}

function must(cwd: string, command: string, args: readonly string[]): void {
  const { status, stderr } = spawnSync(command, args, { cwd, encoding: "utf8" });
  if (status !== 0) throw new Error(`${command} ${args.join(" ")}: ${stderr}`);
}
