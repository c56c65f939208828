import { readFile, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";

const IMPORT = /\b(?:from|import|require)\s*\(?\s*["'](\.{1,2}\/[^"']+)["']/g;
const EXTENSIONS = ["", ".ts", ".mts", ".js", ".mjs", "/index.ts", "/index.js"];

/**
 * A converter file and all files that it imports by a relative path, itself first: a change in any of them changes what is built.
 * Packages are not followed.
 */
export async function withImports(file: string, seen = new Set<string>()): Promise<string[]> {
  if (seen.has(file)) return [];
  seen.add(file);
  const source = await readFile(file, "utf8");
  const files = [file];
  for (const [, specifier] of source.matchAll(IMPORT)) {
    const imported = await findModule(resolve(dirname(file), specifier as string));
    if (imported !== null) files.push(...(await withImports(imported, seen)));
  }
  return files;
}

async function findModule(path: string): Promise<string | null> {
  // TypeScript sources name each other by the extension of what they compile to.
  const bases = /\.[cm]?js$/.test(path) ? [path, path.replace(/js$/, "ts")] : [path];
  for (const base of bases) {
    for (const extension of EXTENSIONS) {
      const candidate = base + extension;
      const isFile = await stat(candidate)
        .then((stats) => stats.isFile())
        .catch(() => false);
      if (isFile) return candidate;
    }
  }
  return null;
}
