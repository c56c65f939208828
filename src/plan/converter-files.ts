import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

const IMPORT = /\b(?:from|import|require)\s*\(?\s*["'](\.{1,2}(?:\/[^"']*)?)["']/g;

/**
 * A converter file and all files that it imports by a relative path, itself first: a change in any of them changes what is built.
 * Packages are not followed.
 */
export async function withImports(file: string, seen = new Set<string>()): Promise<string[]> {
  if (seen.has(file)) return [];
  seen.add(file);
  const source = await readFile(file, "utf8");
  const files = [file];
  const specifiers = Array.from(source.matchAll(IMPORT), ([, specifier]) => specifier as string);
  if (specifiers.length === 0) return files;
  // What loads converters also says which file an import means: of k.js and k.ts, either may be "./k".
  const { createJiti } = await import("jiti");
  const jiti = createJiti(file);
  for (const specifier of specifiers) {
    const imported = jiti.esmResolve(specifier, { try: true });
    if (imported !== undefined) files.push(...(await withImports(fileURLToPath(imported), seen)));
  }
  return files;
}
