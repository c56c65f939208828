import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { dirname, join, relative, resolve, sep } from "node:path";
import { type Command, Option } from "commander";
import { CONFIG_NAMES } from "../../config/config.js";
import { isErrno } from "../../util/atomic-write.js";
import { TrtorchError } from "../../util/errors.js";
import { packageRoot } from "../../util/native-addon.js";
import type { CliContext, ExitCode, Wrap } from "../context.js";
import { recordedInputs } from "../executable.js";
import { readHead } from "../file-head.js";
import { ConfigError, displayPath, outlineConfig } from "../project.js";
import { toolVersion } from "../version.js";

const TEMPLATES = ["new", "monorepo", "converter"] as const;

/** Where the files of `pipelines/` go in a project. */
const PIPELINES = {
  github: {
    "github/action.yml": ".github/actions/trtorch-build/action.yml",
    "github/engines.yml": ".github/workflows/engines.yml",
    "github/nightly.yml": ".github/workflows/nightly.yml",
  },
  gitlab: { "gitlab/.gitlab-ci.yml": ".gitlab-ci.yml" },
  slurm: { "slurm/build-array.sh": "slurm/build-array.sh", "slurm/submit.sh": "slurm/submit.sh" },
  kubernetes: {
    "kubernetes/build-job.yaml": "kubernetes/build-job.yaml",
    "kubernetes/merge-job.yaml": "kubernetes/merge-job.yaml",
  },
} as const satisfies Record<string, Record<string, string>>;

interface InitOptions {
  readonly template?: (typeof TEMPLATES)[number];
  readonly pipeline?: keyof typeof PIPELINES;
  readonly json?: boolean;
}

/** What one `init` did, in the order in which it did it. */
interface Scaffold {
  readonly written: string[];
  /** Were there already, and are as they were. */
  readonly kept: string[];
}

export function defineInit(program: Command, context: CliContext, run: Wrap): void {
  program
    .command("init")
    .description(
      "write a config for the model files that are here; or a whole project, a package, a converter, a pipeline",
    )
    .argument("[directory]", "where", ".")
    .addOption(
      new Option("--template <name>", "a new project; a package of an existing monorepo; a custom converter").choices(
        TEMPLATES,
      ),
    )
    .addOption(new Option("--pipeline <name>", "the definitions for a build machine").choices(Object.keys(PIPELINES)))
    .option("--json", "as JSON")
    .action(run((directory, options) => init(directory ?? ".", options, context)));
}

async function init(directory: string, options: InitOptions, context: CliContext): Promise<ExitCode> {
  const root = resolve(context.cwd, directory);
  if (options.template === "new") await mkdir(root, { recursive: true });
  else if (!(await exists(root))) {
    throw new TrtorchError("usage", `there is no folder ${directory}`, {
      hint: "Only --template new makes one.",
    });
  }

  // Nothing is written where the config that converters are to be added to cannot be read.
  const config = await findOwnConfig(root);
  if (options.template === "converter" && config !== null) await outlineConfig({ config }, context);

  const done: Scaffold = { written: [], kept: [] };
  const next: string[] = [];
  let ignores: string | null = join(root, ".gitignore");
  if (options.pipeline !== undefined) {
    await copyPipeline(root, options.pipeline, done);
    next.push("next: commit these files; their first lines say what to adjust");
  }
  switch (options.template) {
    case "new":
      await copyTemplate("new", root, { name: packageName(root) }, done, [
        "README.md",
        "package.json",
        "models/export.py",
      ]);
      await writeConfig(root, "new", done);
      next.push("next: npm install, npm run setup, then `npm run check` and `npm run engines`");
      break;
    case "monorepo": {
      const folder = await addPackage(root, done);
      // Beside other packages, whose folders may have these names too.
      ignores = join(root, folder, ".gitignore");
      next.push(`next: put models into ${folder}/models, npm install, then \`npx trtorch-build\` in ${folder}`);
      break;
    }
    case "converter":
      await copyTemplate("converter", root, {}, done, ["converters/scale.ts", "test/scale.test.ts"]);
      await nameConverters(root, done);
      next.push("next: make converters/scale.ts yours; its test runs without a model and without a GPU");
      break;
    case undefined:
      if (options.pipeline !== undefined) {
        ignores = null;
        break;
      }
      await writeConfig(root, null, done);
      for (const file of done.kept) {
        throw new TrtorchError("usage", `${displayPath(file, context)} is there already`, {
          hint: "It stays as it is. Remove it to have one written anew.",
        });
      }
      next.push("next: look at the inputs, then `trtorch-build plan` and `trtorch-build`");
  }
  const ignored = ignores === null ? [] : await ignore(ignores, ["engines/", ".trtorch-build/"]);

  if (options.json === true) {
    context.stdout(`${JSON.stringify({ written: done.written, kept: done.kept, ignored })}\n`);
    return 0;
  }
  for (const file of done.written) context.stdout(`wrote ${displayPath(file, context)}\n`);
  for (const file of done.kept) context.stdout(`kept ${displayPath(file, context)}, which was there\n`);
  if (ignores !== null && ignored.length > 0) {
    context.stdout(`added ${ignored.join(" and ")} to ${displayPath(ignores, context)}\n`);
  }
  for (const line of next) context.stdout(`${line}\n`);
  return 0;
}

/** Never over a file that is there. */
async function writeNew(path: string, text: string, done: Scaffold, mode = 0o666): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  try {
    await writeFile(path, text, { flag: "wx", mode });
    done.written.push(path);
  } catch (error) {
    if (!isErrno(error, "EEXIST")) throw error;
    done.kept.push(path);
  }
}

async function copyTemplate(
  template: string,
  root: string,
  values: Readonly<Record<string, string>>,
  done: Scaffold,
  files: readonly string[],
): Promise<void> {
  for (const file of files) {
    const text = await readFile(join(packageRoot, "templates", template, file), "utf8");
    const filled = text.replace(/\$\{(name|version|folder)\}/g, (_, key: string) =>
      key === "version" ? toolVersion() : (values[key] ?? ""),
    );
    await writeNew(join(root, file), filled, done);
  }
}

async function copyPipeline(root: string, name: keyof typeof PIPELINES, done: Scaffold): Promise<void> {
  for (const [from, to] of Object.entries<string>(PIPELINES[name])) {
    const source = join(packageRoot, "pipelines", from);
    const { mode } = await stat(source);
    await writeNew(join(root, to), await readFile(source, "utf8"), done, mode & 0o777);
  }
}

/** A config for the model files that are there; without any, the template's. One of either name is kept. */
async function writeConfig(root: string, template: string | null, done: Scaffold): Promise<void> {
  const there = await findOwnConfig(root);
  if (there !== null) {
    done.kept.push(there);
    return;
  }
  const config = join(root, CONFIG_NAMES[0]);
  const models = await findModels(root);
  if (template !== null && models.length === 0) await copyTemplate(template, root, {}, done, [CONFIG_NAMES[0]]);
  else await writeNew(config, await makeConfig(root, models), done);
}

/** Adds a package where the monorepo keeps its packages (not called engines, which root .gitignores often name), with the task of the task runner that is in use. */
async function addPackage(root: string, done: Scaffold): Promise<string> {
  const folder = `${await packagesFolder(root)}/tensorrt`;
  const files = ["package.json"];
  const config = await findOwnConfig(join(root, folder));
  if (config === null) files.push(CONFIG_NAMES[0]);
  else done.kept.push(config);
  if (await exists(join(root, "turbo.json"))) files.push("turbo.json");
  if (await exists(join(root, "nx.json"))) files.push("project.json");
  await copyTemplate("monorepo", join(root, folder), { name: "tensorrt", folder }, done, files);
  await mkdir(join(root, folder, "models"), { recursive: true });
  return folder;
}

/** Of the workspaces' patterns the first that is a folder's `*`. */
async function packagesFolder(root: string): Promise<string> {
  const { parseYaml } = await import("../../config/document.js");
  const read = async (file: string) => {
    const text = await readFile(join(root, file), "utf8").catch(() => "{}");
    const document = parseYaml({ name: file, text });
    if (!document.ok) throw new ConfigError(document.error);
    return document.value.value;
  };
  const manifest = (await read("package.json")) as { workspaces?: string[] | { packages?: string[] } } | null;
  const pnpm = (await read("pnpm-workspace.yaml")) as { packages?: string[] } | null;
  const workspaces = manifest?.workspaces;
  const patterns = [
    ...(Array.isArray(workspaces) ? workspaces : (workspaces?.packages ?? [])),
    ...(pnpm?.packages ?? []),
  ];
  const folder = patterns
    .map((pattern) => /^(?:\.\/)?([^*!]+)\/\*+$/.exec(pattern)?.[1])
    .find((found) => found !== undefined);
  if (folder !== undefined) return folder;
  throw new TrtorchError("usage", "this is no monorepo: package.json names no workspaces such as packages/*", {
    hint: "use --template new for a project of its own",
  });
}

/** Adds the folder of converters to the config, whose comments stay; where there is no config, says how. */
async function nameConverters(root: string, done: Scaffold): Promise<void> {
  const path = await findOwnConfig(root);
  if (path === null) return writeConfig(root, null, done).then(() => nameConverters(root, done));
  const { parseDocument } = await import("yaml");
  const document = parseDocument(await readFile(path, "utf8"));
  const wanted = "./converters/*.ts";
  const before = document.get("converters");
  if (JSON.stringify(before ?? null).includes("converters/")) return;
  if (before === undefined) document.set("converters", [wanted]);
  else document.addIn(["converters"], wanted);
  await writeFile(path, document.toString({ lineWidth: 0 }));
  if (!done.written.includes(path)) done.written.push(path);
}

function packageName(root: string): string {
  return (
    (root.split(sep).at(-1) ?? "")
      .toLowerCase()
      .replace(/[^a-z0-9._-]+/g, "-")
      .replace(/^[._-]+/, "") || "engines"
  );
}

async function findOwnConfig(root: string): Promise<string | null> {
  const { configIn } = await import("../../config/load.js");
  return configIn(root);
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** A model file, by its path from the config. */
interface FoundModel {
  readonly file: string;
  /** Recorded inputs and outputs that stand beside it, as `io.npz` or `<stem>.io.npz`. */
  readonly golden: string | null;
}

/** Model files, by their first bytes: a .ts is more often TypeScript than TorchScript. */
async function findModels(root: string): Promise<FoundModel[]> {
  const { default: glob } = await import("fast-glob");
  const found = await glob(["**/*.ts", "**/*.pt", "**/*.pt2"], {
    cwd: root,
    ignore: ["**/node_modules/**", "**/engines/**"],
    absolute: true,
    deep: 6,
  });
  const shown = (path: string): string => relative(root, path).split(sep).join("/");
  const models: FoundModel[] = [];
  for (const file of found.sort()) {
    const { head } = await readHead(file, shown(file));
    if (!head.toString("latin1").startsWith("PK\u0003\u0004")) continue;
    const beside = [file.replace(/\.[^.]+$/, ".io.npz"), join(dirname(file), "io.npz")];
    const recorded = await Promise.all(beside.map(exists));
    const golden = beside[recorded.indexOf(true)];
    models.push({ file: shown(file), golden: golden === undefined ? null : shown(golden) });
  }
  return models;
}

async function makeConfig(root: string, models: readonly FoundModel[]): Promise<string> {
  const lines = [
    "# yaml-language-server: $schema=./node_modules/trtorch-build/config.schema.json",
    "version: 1",
    "out_dir: engines",
    "backend: tensorrt-rtx",
    "targets: [[sm_80, sm_86, sm_89, sm_120]]   # one engine for all of them",
    "precisions: [fp16]",
    "models:",
  ];
  const named = models.length === 0 ? [{ file: "models/model.pt2", golden: null }] : models;
  const stems = named.map(({ file }) => file.replace(/^.*\//, "").replace(/\.[^.]+$/, ""));
  for (const [index, { file, golden }] of named.entries()) {
    const unique = stems.filter((stem) => stem === stems[index]).length === 1;
    lines.push(`  - source: ${JSON.stringify(file)}`);
    if (!unique) lines.push('    name: "{parent}-{stem}"');
    if (!file.endsWith(".pt2")) {
      lines.push("    inputs:   # in the method's order; a range is { min: [...], opt: [...], max: [...] }");
      const inputs = golden === null ? [] : await declaredInputs(join(root, golden));
      for (const input of inputs.length > 0 ? inputs : ["[1, 3, 224, 224]"]) lines.push(`      - ${input}`);
    }
    if (golden !== null) lines.push(`    golden: ${JSON.stringify(golden)}`);
  }
  return `${lines.join("\n")}\n`;
}

/** `in0`, `in1`, … of a golden file as a config has inputs. */
async function declaredInputs(golden: string): Promise<string[]> {
  const { readNpz } = await import("../../util/npz.js");
  return recordedInputs(readNpz(golden)).map(({ dtype, sizes }) => {
    const shape = `[${sizes.join(", ")}]`;
    return dtype === "float32" ? shape : `{ dtype: ${dtype}, shape: ${shape} }`;
  });
}

/** Adds lines to a .gitignore that it does not have. */
async function ignore(file: string, wanted: readonly string[]): Promise<string[]> {
  const text = await readFile(file, "utf8").catch((error: unknown) => {
    if (isErrno(error, "ENOENT")) return "";
    throw error;
  });
  const present = new Set(text.split(/\r?\n/).map((line) => line.trim()));
  const missing = wanted.filter((line) => !present.has(line));
  if (missing.length > 0) {
    const gap = text === "" || text.endsWith("\n") ? "" : "\n";
    await writeFile(file, `${text}${gap}${missing.join("\n")}\n`);
  }
  return missing;
}
