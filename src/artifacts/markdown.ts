/** A row of a table; a line break or a bar in a cell would end it. */
export function tableRow(...cells: readonly (string | number)[]): string {
  return `| ${cells
    .map((cell) =>
      String(cell)
        .replace(/\s*\n\s*/g, " ")
        .replaceAll("|", "\\|"),
    )
    .join(" | ")} |`;
}

/** Text that is not ours: what Markdown would read as HTML, as `<eval_with_key>.1:5`, stays text. */
export function plain(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}

/** A name as code, which holds no backquotes. */
export function code(name: string): string {
  return `\`${name.replaceAll("`", "'")}\``;
}
