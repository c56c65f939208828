import type { SourceRange } from "../ir/graph.js";

/** Frames of PyTorch itself: the line that a person wants to see is the one that called it. */
const LIBRARY = /(?:^|[\\/]site-packages[\\/])torch[\\/]/;

const FRAME = /^\s*File "([^"]+)", line (\d+), in .*(?:\n(?!\s*File ")\s*(.*))?/gm;

/** Turns the metadata of exported nodes into source ranges; nodes of one Python line share theirs. */
export class SourceRanges {
  readonly #known = new Map<string, SourceRange | undefined>();

  of(metadata: Readonly<Record<string, string>> | undefined): SourceRange | undefined {
    const trace = metadata?.stack_trace ?? "";
    const stack = moduleStack(metadata);
    const key = `${stack}\0${trace}`;
    if (!this.#known.has(key)) this.#known.set(key, makeRange(trace, stack));
    return this.#known.get(key);
  }
}

function makeRange(trace: string, stack: string): SourceRange | undefined {
  const frames: SourceRange[] = [];
  for (const [, file, line, text] of trace.matchAll(FRAME)) {
    // Code that PyTorch made up: <eval_with_key>.5.
    if (file?.startsWith("<")) continue;
    const shown = text?.trim() ?? "";
    frames.push({ file: file as string, line: Number(line), ...(shown === "" ? {} : { text: shown }) });
  }
  const module = innermostModule(stack);
  let last = frames.length - 1;
  while (last > 0 && LIBRARY.test((frames[last] as SourceRange).file)) last--;
  const range = frames[last];
  if (range === undefined) return module.module === undefined ? undefined : { file: "", line: 0, ...module };
  const callers = frames.slice(0, last).reverse();
  return { ...range, ...module, ...(callers.length === 0 ? {} : { callers }) };
}

/** The last of the stack: `features.0` and `torch.nn.modules.conv.Conv2d`. */
function innermostModule(stack: string): { module?: string; moduleClass?: string } {
  const entry = stack.slice(stack.lastIndexOf(";") + 1);
  const first = entry.indexOf(",");
  const last = entry.lastIndexOf(",");
  if (first < 0 || first === last) return {};
  const module = entry
    .slice(first + 1, last)
    // The second call of a module is `fc@1`; older releases write `L['self'].fc`.
    .replace(/@\d+/g, "")
    .replace(/^L\['self'\]\.?/, "");
  return { module, moduleClass: entry.slice(last + 1) };
}

/** `key,path,class;key,path,class`, outer modules first; empty for nodes that the exporter added itself. */
function moduleStack(metadata: Readonly<Record<string, string>> | undefined): string {
  const stack = metadata?.nn_module_stack ?? "";
  return stack.startsWith("_empty_nn_module_stack") ? "" : stack;
}

/** The class of the root module, from the first entry of a node's module stack: `L__self__,,__main__.LeNet`. */
export function rootClass(metadata: Readonly<Record<string, string>> | undefined): string | undefined {
  const [entry = ""] = moduleStack(metadata).split(";");
  return /^[^,]*,[^,]*,(.+)$/.exec(entry)?.[1];
}
