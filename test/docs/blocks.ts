/** A fenced block of a Markdown page. */
export interface Block {
  readonly language: string;
  /** What follows the language: `exit=1`. */
  readonly info: string;
  readonly content: string;
  /** Of the fence, 1-based. */
  readonly line: number;
}

export function fencedBlocks(markdown: string): Block[] {
  const blocks: Block[] = [];
  let open: { language: string; info: string; lines: string[]; line: number } | null = null;
  for (const [index, text] of markdown.split("\n").entries()) {
    const fence = /^```(\w*)\s*(.*)$/.exec(text);
    if (fence === null) open?.lines.push(text);
    else if (open === null) open = { language: fence[1] ?? "", info: fence[2] ?? "", lines: [], line: index + 1 };
    else {
      const { lines, ...rest } = open;
      blocks.push({ ...rest, content: lines.map((line) => `${line}\n`).join("") });
      open = null;
    }
  }
  return blocks;
}

/** The file that a block shows: its first line is a comment with nothing but a path. */
export function fileNameOf(block: Block): string | null {
  return /^(?:#|\/\/) ([\w./-]+\.(?:ts|py|yaml))$/m.exec(block.content.split("\n", 1)[0] ?? "")?.[1] ?? null;
}

/** What differs from run to run or machine to machine, taken out. */
export function settle(output: string): string {
  return output
    .split("\n")
    .filter((line) => !line.startsWith("npm warn"))
    .map((line) =>
      line
        .replace(/\bin \d+(\.\d+)? (ms|s|min)\b/g, "in N s")
        .replace(/\b\d+(\.\d+)? (kB|MB)\b/g, "N kB")
        .replace(/max error \S+?(?=,|$)/g, "max error N")
        .replace(/\b\d+ slots?\b/g, "N slots")
        .replace(/\bon cpu \d+/g, "on cpu N")
        .replace(/(TensorRT-RTX) [\d.]+/g, "$1 N")
        .replace(/\/\S*\/(?=[\w.-]+\.py)/g, "")
        .replace(/%\d+/g, "%N")
        .trimEnd(),
    )
    .join("\n")
    .trim();
}

/** Whether the output is as shown; a line `...` stands for any number of lines, `...` at the end of a line for its rest. */
export function matches(output: string, shown: string): boolean {
  const pattern = settle(shown)
    .split("\n")
    .map((line) => {
      if (line === "...") return "(?:.*\n)*?";
      const text = line.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
      return `${line.endsWith("...") ? `${text.slice(0, -6)}.*` : text}\n`;
    })
    .join("");
  return new RegExp(`^${pattern}$`).test(`${settle(output)}\n`);
}
