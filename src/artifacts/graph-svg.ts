import type { GraphOutline, OutlineNode, RunBy } from "./graph-outline.js";
import { type Html, html } from "./html.js";

/** Pixels. */
const CHARACTER = 7;
const BOX_HEIGHT = 26;
const ROW_GAP = 26;
const COLUMN_GAP = 18;
const MARGIN = 8;
const LONGEST_LABEL = 34;

/** A drawing wider than the page shrinks to fit, but not below this part of its size: then it is scrolled. */
const SHRINK = 0.75;

/** Sweeps of the ordering and of the placing; more change nothing a person would see. */
const SWEEPS = 6;

interface Cell {
  /** Index of the node drawn here; null where an edge passes through the row. */
  readonly node: number | null;
  readonly width: number;
  readonly above: Cell[];
  readonly below: Cell[];
  /** Left edge. */
  x: number;
  row: number;
}

const RUN_BY: Readonly<Record<RunBy, string>> = {
  converter: "TensorRT",
  evaluator: "computed at build time",
  torch: "PyTorch",
  nobody: "not supported",
};

/**
 * Draws an outline in layers, top down: each box in the row after its last source, rows ordered so that edges cross
 * little, as Sugiyama's method does it. Colours come from the page's classes.
 */
export function drawGraph({ nodes, edges }: GraphOutline, title: string): Html {
  const rows = layer(nodes, edges);
  for (let sweep = 0; sweep < SWEEPS; sweep++) order(rows, sweep % 2 === 0 ? "above" : "below");
  place(rows);
  const cells = rows.flat();
  const width = Math.ceil(Math.max(...cells.map((cell) => cell.x + cell.width)) + MARGIN);
  const height = rows.length * (BOX_HEIGHT + ROW_GAP) - ROW_GAP + 2 * MARGIN;
  const lines = cells.flatMap((cell) => cell.below.map((below) => html`<path d="${curve(cell, below)}"/>`));
  const boxes = cells.flatMap((cell) => (cell.node === null ? [] : [box(cell, nodes[cell.node] as OutlineNode)]));
  return html`<svg class="graph" role="img" aria-label="${title}" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" style="max-width:max(100%,${Math.round(width * SHRINK)}px)">
<g class="edges">${lines}</g>
${boxes}</svg>`;
}

/** Rows of cells: a node a cell, and a thin one wherever an edge passes a row by. */
function layer(nodes: readonly OutlineNode[], edges: GraphOutline["edges"]): Cell[][] {
  const rowOf = nodes.map(() => 0);
  // Edges lead to higher indices, so that one pass in order of their ends settles the rows.
  for (const [from, to] of [...edges].sort((a, b) => a[1] - b[1])) {
    rowOf[to] = Math.max(rowOf[to] as number, (rowOf[from] as number) + 1);
  }
  const rows: Cell[][] = [];
  const add = (node: number | null, row: number, width: number): Cell => {
    const cell: Cell = { node, width, above: [], below: [], x: 0, row };
    rows[row] ??= [];
    rows[row].push(cell);
    return cell;
  };
  const connect = (above: Cell, below: Cell) => {
    above.below.push(below);
    below.above.push(above);
  };
  const cellOf = nodes.map((node, index) => add(index, rowOf[index] as number, widthOf(node)));
  for (const [from, to] of edges) {
    let last = cellOf[from] as Cell;
    for (let row = (rowOf[from] as number) + 1; row < (rowOf[to] as number); row++) {
      const passing = add(null, row, 2);
      connect(last, passing);
      last = passing;
    }
    connect(last, cellOf[to] as Cell);
  }
  return rows;
}

/** Sorts each row by the mean position of its neighbours in the row before it on the sweep's way. */
function order(rows: Cell[][], toward: "above" | "below"): void {
  const position = new Map<Cell, number>();
  const walk = toward === "above" ? rows : rows.toReversed();
  for (const row of walk) {
    const mean = new Map(
      row.map((cell, index) => {
        const neighbours = cell[toward].map((other) => position.get(other) ?? 0);
        return [cell, neighbours.length === 0 ? index : average(neighbours)];
      }),
    );
    row.sort((a, b) => (mean.get(a) as number) - (mean.get(b) as number));
    for (const [index, cell] of row.entries()) position.set(cell, index - (row.length - 1) / 2);
  }
}

/** Moves cells under their neighbours as far as the row's order and the gaps allow. */
function place(rows: Cell[][]): void {
  for (const row of rows) {
    let x = 0;
    for (const cell of row) {
      cell.x = x;
      x += cell.width + COLUMN_GAP;
    }
    const middle = (x - COLUMN_GAP) / 2;
    for (const cell of row) cell.x -= middle;
  }
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const toward = sweep % 2 === 0 ? "above" : "below";
    for (const row of toward === "above" ? rows : rows.toReversed()) {
      const wanted = row.map((cell) => {
        const neighbours = cell[toward];
        return neighbours.length === 0 ? cell.x : average(neighbours.map(middleOf)) - cell.width / 2;
      });
      spread(row, wanted);
    }
  }
  const left = Math.min(...rows.flat().map((cell) => cell.x));
  for (const cell of rows.flat()) cell.x += MARGIN - left;
}

/** The positions nearest to those wanted (least squares) that keep order and gaps: neighbours that collide become a block. */
function spread(row: readonly Cell[], wanted: readonly number[]): void {
  const blocks: { sum: number; count: number; members: { cell: Cell; offset: number }[]; width: number }[] = [];
  for (const [index, cell] of row.entries()) {
    let block = { sum: wanted[index] as number, count: 1, members: [{ cell, offset: 0 }], width: cell.width };
    for (let before = blocks.at(-1); before !== undefined; before = blocks.at(-1)) {
      if (before.sum / before.count + before.width + COLUMN_GAP <= block.sum / block.count) break;
      const shift = before.width + COLUMN_GAP;
      block = {
        sum: before.sum + block.sum - shift * block.count,
        count: before.count + block.count,
        members: [...before.members, ...block.members.map((each) => ({ ...each, offset: each.offset + shift }))],
        width: shift + block.width,
      };
      blocks.pop();
    }
    blocks.push(block);
  }
  for (const { sum, count, members } of blocks) {
    for (const { cell, offset } of members) cell.x = sum / count + offset;
  }
}

function curve(from: Cell, to: Cell): string {
  const [x1, x2] = [Math.round(middleOf(from)), Math.round(middleOf(to))];
  // Where an edge passes a row by, it goes straight through it.
  const start = from.node === null ? top(from) : top(from) + BOX_HEIGHT;
  const straight = from.node === null ? `V${top(from) + BOX_HEIGHT}` : "";
  const begin = top(from) + BOX_HEIGHT;
  const end = top(to);
  const half = (begin + end) / 2;
  return `M${x1} ${start}${straight}C${x1} ${half} ${x2} ${half} ${x2} ${end}`;
}

function box(cell: Cell, node: OutlineNode): Html {
  const x = Math.round(cell.x);
  const y = top(cell);
  const runBy = node.runBy === null ? node.kind : node.runBy;
  const details = node.runBy === null ? node.kind : `${describe(node)}: ${RUN_BY[node.runBy]}`;
  const center = Math.round(middleOf(cell));
  return html`<g class="${runBy}"><title>${details}</title><rect x="${x}" y="${y}" width="${cell.width}" height="${BOX_HEIGHT}" rx="${node.runBy === null ? BOX_HEIGHT / 2 : 4}"/><text x="${center}" y="${y + 17}">${labelOf(node)}</text></g>
`;
}

function describe({ label, operators }: OutlineNode): string {
  const list = operators.map(([name, count]) => (count === 1 ? name : `${name} × ${count}`)).join(", ");
  return operators.length === 1 && operators[0]?.[1] === 1 ? list : `${label} (${list})`;
}

/** A collapsed box says how many operators it holds. */
function labelOf(node: OutlineNode): string {
  const held = node.operators.reduce((sum, [, count]) => sum + count, 0);
  const suffix = held > 1 ? ` (${held})` : "";
  const room = LONGEST_LABEL - suffix.length;
  // The end of a module's path says more than its beginning.
  return (node.label.length > room ? `…${node.label.slice(1 - room)}` : node.label) + suffix;
}

function widthOf(node: OutlineNode): number {
  return labelOf(node).length * CHARACTER + 20;
}

function top(cell: Cell): number {
  return MARGIN + cell.row * (BOX_HEIGHT + ROW_GAP);
}

function middleOf(cell: Cell): number {
  return cell.x + cell.width / 2;
}

function average(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
}
