import { stat } from "node:fs/promises";
import { isAbsolute, relative, resolve, sep } from "node:path";

/** The files that a path or glob of a config stands for, absolute and sorted. A file whose name looks like a glob is that file. */
export async function findFiles(pattern: string, root: string): Promise<string[]> {
  const literal = resolve(root, pattern);
  if (await isFile(literal)) return [literal];
  if (!isGlob(pattern)) return [];
  const { default: glob } = await import("fast-glob");
  const found = await glob(pattern, { cwd: root, absolute: true, onlyFiles: true });
  return found.map((name) => name.split("/").join(sep)).sort();
}

/**
 * The folders in which a file, or a folder on the way to one, would match a glob if it were put there. Installed packages are left
 * out: they hold too many folders to be watched.
 */
export async function foldersOf(pattern: string, root: string): Promise<string[]> {
  const { default: glob } = await import("fast-glob");
  const folders = new Set<string>();
  for (const { base, positive } of glob.generateTasks([pattern], { cwd: root })) {
    folders.add(resolve(root, base));
    const prefixes = positive.flatMap((each) => {
      const steps = each.split("/");
      // `models/**` stands for files at any depth, its last step too.
      if (steps.at(-1) === "**") steps.push("*");
      return steps.slice(1).map((_, index) => steps.slice(0, index + 1).join("/"));
    });
    const below = await glob(prefixes.filter(isGlob), {
      cwd: root,
      absolute: true,
      onlyDirectories: true,
      ignore: ["**/node_modules/**"],
    });
    for (const folder of below) folders.add(resolve(folder));
  }
  return [...folders].sort();
}

export function isGlob(pattern: string): boolean {
  return /[*?{}[\]()!]/.test(pattern);
}

export async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (stats) => stats.isFile(),
    () => false,
  );
}

/** Also of the folder itself. */
export function isInside(path: string, folder: string): boolean {
  const way = relative(folder, path);
  return way === "" || (way !== ".." && !way.startsWith(`..${sep}`) && !isAbsolute(way));
}
