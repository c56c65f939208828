import { decomposition } from "../decomposition.js";
import type { Converter } from "../registry.js";

/** Parts of a body, one after the other. */
function lines(...parts: readonly string[]): string {
  return parts.map((part) => part.trim()).join("\n");
}

/** What goes over a matrix row after row: the loop is written out. */
function unrolled(signature: string, body: string): Converter {
  return decomposition(`aten::${signature}`, body, {
    limits: "some layers for each row of the matrix, whose size must be fixed",
  });
}

const cross = `
return torch.roll(self, [-1], [dim]) * torch.roll(other, [-2], [dim]) - torch.roll(self, [-2], [dim]) * torch.roll(other, [-1], [dim])
`;

export const products = [
  decomposition("aten::linalg_cross(Tensor self, Tensor other, *, int dim=-1) -> Tensor", cross),
  decomposition(
    "aten::cross(Tensor self, Tensor other, int? dim=None) -> Tensor",
    `
if dim is None:
  axis = -1
  for i in range(torch.dim(self)):
    if axis == -1 and torch.size(self, i) == 3:
      axis = i
else:
  axis = dim
return torch.linalg_cross(self, other, dim=axis)
`,
  ),
  decomposition("aten::linalg_vecdot(Tensor x, Tensor y, *, int dim=-1) -> Tensor", "return torch.sum(x * y, [dim])"),
  ...["chain_matmul(Tensor[] matrices)", "linalg_multi_dot(Tensor[] tensors)"].map((signature) =>
    decomposition(
      `aten::${signature} -> Tensor`,
      `
factors = ${/(\w+)\)$/.exec(signature)?.[1]}
result = factors[0]
for i in range(torch.len(factors) - 1):
  result = torch.matmul(result, factors[i + 1])
return result
`,
    ),
  ),
  decomposition(
    "aten::linalg_vander(Tensor x, *, SymInt? N=None) -> Tensor",
    `
if N is None:
  count = torch.size(x, -1)
else:
  count = N
power = torch.ones_like(x)
powers = annotate(List[Tensor], [])
for i in range(count):
  torch.append(powers, power)
  power = power * x
return torch.stack(powers, -1)
`,
  ),
  decomposition(
    "aten::vander(Tensor x, int? N=None, bool increasing=False) -> Tensor",
    `
result = torch.linalg_vander(x, N=N)
if not increasing:
  result = torch.flip(result, [-1])
return result
`,
  ),
  ...["matrix_power", "linalg_matrix_power"].map((name) =>
    decomposition(
      `aten::${name}(Tensor self, int n) -> Tensor`,
      `
if n < 0:
  base = torch.linalg_inv(self)
else:
  base = self
if n == 0:
  result = torch.expand_as(torch.eye(torch.size(self, -1), dtype=ops.prim.dtype(self)), self)
else:
  result = base
for i in range(abs(n) - 1):
  result = torch.matmul(result, base)
return result
`,
    ),
  ),
];

// --- Elimination -----------------------------------------------------------------------------------------------------

/**
 * Gauss-Jordan elimination of `[A, B]` with partial pivoting: `solution` of A X = B, and A's determinant as `sign` and
 * `logarithm` of its size, from the pivots, of which each exchange of rows changes the sign.
 */
const ELIMINATE = `
n = torch.size(A, -1)
rows = torch.arange(n)
rest = torch.cat([A, B], -1)
corner = torch.select(torch.select(A, -1, 0), -1, 0)
sign = torch.ones_like(corner)
logarithm = torch.zeros_like(corner)
for k in range(n):
  sizes = torch.abs(torch.select(rest, -1, k))
  pivot = torch.argmax(torch.where(rows < k, torch.full_like(sizes, -1.0), sizes), -1, True)
  order = torch.where(rows == k, pivot, torch.where(rows == pivot, torch.full_like(pivot, k), rows))
  rest = torch.gather(rest, -2, torch.expand_as(torch.unsqueeze(order, -1), rest))
  row = torch.slice(rest, -2, k, k + 1)
  diagonal = torch.slice(row, -1, k, k + 1)
  value = torch.squeeze(torch.squeeze(diagonal, -1), -1)
  exchange = torch.where(torch.squeeze(pivot, -1) == k, torch.ones_like(value), torch.full_like(value, -1.0))
  sign = sign * torch.sign(value) * exchange
  logarithm = logarithm + torch.log(torch.abs(value))
  row = row / diagonal
  rest = torch.where(torch.unsqueeze(rows == k, -1), row, rest - torch.slice(rest, -1, k, k + 1) * row)
solution = torch.slice(rest, -1, n, None)
`;

const IDENTITY = `
B = torch.expand_as(torch.eye(torch.size(A, -1), dtype=ops.prim.dtype(A)), A)
`;

/** A B of one dim, or of A's dims without the last, is of vectors; other batches are broadcast. X A = B is Aᵀ Xᵀ = Bᵀ. */
const solve = (result: string) =>
  lines(
    `
vectors = torch.dim(B) == 1 or (torch.dim(B) == torch.dim(A) - 1 and torch.size(B) == torch.slice(torch.size(A), None, -1))
if vectors:
  B = torch.unsqueeze(B, -1)
if not left:
  A = torch.transpose(A, -2, -1)
  B = torch.transpose(B, -2, -1)
batch = torch.size(torch.select(torch.select(A, -1, 0), -1, 0) + torch.select(torch.select(B, -1, 0), -1, 0))
A = torch.expand(A, batch + [torch.size(A, -2), torch.size(A, -1)])
B = torch.expand(B, batch + [torch.size(B, -2), torch.size(B, -1)])
`,
    ELIMINATE,
    `
if not left:
  solution = torch.transpose(solution, -2, -1)
if vectors:
  solution = torch.squeeze(solution, -1)
return ${result}
`,
  );

const determinant = (result: string) => lines("B = torch.slice(A, -1, 0, 0)", ELIMINATE, `return ${result}`);

const inverse = (result: string) => lines(IDENTITY, ELIMINATE, `return ${result}`);

const DETERMINANT = "sign * torch.exp(logarithm)";

// Nobody can use the factors of those that give them too: they are None.
export const eliminations = [
  unrolled("linalg_inv_ex(Tensor A, *, bool check_errors=False) -> (Tensor, Tensor)", inverse("(solution, None)")),
  unrolled("linalg_inv(Tensor A) -> Tensor", inverse("solution")),
  unrolled("inverse(Tensor self) -> Tensor", lines("A = self", inverse("solution"))),
  unrolled("linalg_solve(Tensor A, Tensor B, *, bool left=True) -> Tensor", solve("solution")),
  unrolled(
    "linalg_solve_ex(Tensor A, Tensor B, *, bool left=True, bool check_errors=False) -> (Tensor, Tensor)",
    solve("(solution, None)"),
  ),
  unrolled(
    "_linalg_solve_ex(Tensor A, Tensor B, *, bool left=True, bool check_errors=False) -> (Tensor, Tensor, Tensor, Tensor)",
    solve("(solution, None, None, None)"),
  ),
  unrolled("det(Tensor self) -> Tensor", lines("A = self", determinant(DETERMINANT))),
  unrolled("linalg_det(Tensor A) -> Tensor", determinant(DETERMINANT)),
  unrolled("_linalg_det(Tensor A) -> (Tensor, Tensor, Tensor)", determinant(`(${DETERMINANT}, None, None)`)),
  unrolled("slogdet(Tensor self) -> (Tensor, Tensor)", lines("A = self", determinant("(sign, logarithm)"))),
  unrolled("linalg_slogdet(Tensor A) -> (Tensor, Tensor)", determinant("(sign, logarithm)")),
  unrolled(
    "_linalg_slogdet(Tensor A) -> (Tensor, Tensor, Tensor, Tensor)",
    determinant("(sign, logarithm, None, None)"),
  ),
  unrolled("logdet(Tensor self) -> Tensor", lines("A = self", determinant("torch.log(sign) + logarithm"))),
];

// --- Factors ---------------------------------------------------------------------------------------------------------

/** L of A = L Lᵀ, a column after the other, each taken from what is left of A as an outer product. */
const CHOLESKY = `
rows = torch.arange(torch.size(A, -1))
rest = A
columns = annotate(List[Tensor], [])
for k in range(torch.size(A, -1)):
  column = torch.select(rest, -1, k)
  column = column / torch.sqrt(torch.slice(column, -1, k, k + 1))
  column = torch.where(rows < k, torch.zeros_like(column), column)
  torch.append(columns, column)
  rest = rest - torch.unsqueeze(column, -1) * torch.unsqueeze(column, -2)
L = torch.stack(columns, -1)
`;

const cholesky = (result: string) =>
  lines(
    `
A = self
if upper:
  A = torch.transpose(A, -2, -1)
`,
    CHOLESKY,
    `
if upper:
  L = torch.transpose(L, -2, -1)
return ${result}
`,
  );

/**
 * X of A X = B for a triangular A, row after row: what a row of X contributes is taken from the rows that are still to come.
 * X A = B is Aᵀ Xᵀ = Bᵀ, whose triangle is the other one.
 */
const TRIANGULAR = `
if not left:
  A = torch.transpose(A, -2, -1)
  B = torch.transpose(B, -2, -1)
n = torch.size(A, -1)
rows = torch.arange(n)
rest = B
solution = torch.zeros_like(B)
for i in range(n):
  k = i
  if upper == left:
    k = n - 1 - i
  row = torch.slice(rest, -2, k, k + 1)
  column = torch.slice(A, -1, k, k + 1)
  if not unitriangular:
    row = row / torch.slice(column, -2, k, k + 1)
  solution = torch.where(torch.unsqueeze(rows == k, -1), row, solution)
  rest = rest - column * row
if not left:
  solution = torch.transpose(solution, -2, -1)
`;

/**
 * Householder's Q and R of A = Q R, with LAPACK's signs (geqrf): the k-th column from its k-th row on, x, is reflected by
 * v = x + sgn(x₀) |x| e₀ onto -sgn(x₀) |x| e₀; a last row alone stays.
 */
const HOUSEHOLDER = `
m = torch.size(A, -2)
rows = torch.arange(m)
R = A
Q = torch.expand(torch.eye(m, dtype=ops.prim.dtype(A)), torch.slice(torch.size(A), None, -2) + [m, m])
for k in range(min(m - 1, torch.size(A, -1))):
  column = torch.select(R, -1, k)
  column = torch.where(rows < k, torch.zeros_like(column), column)
  length = torch.sqrt(torch.sum(torch.square(column), [-1], True))
  first = torch.slice(column, -1, k, k + 1)
  length = torch.where(first < 0, -length, length)
  v = torch.unsqueeze(torch.where(rows == k, column + length, column), -1)
  scale = 2.0 / torch.sum(torch.square(v), [-2], True)
  R = R - v * scale * torch.matmul(torch.transpose(v, -2, -1), R)
  Q = Q - torch.matmul(Q, v) * scale * torch.transpose(v, -2, -1)
R = torch.triu(R)
`;

const REDUCE = `
if reduced:
  size = min(m, torch.size(A, -1))
  Q = torch.slice(Q, -1, None, size)
  R = torch.slice(R, -2, None, size)
return (Q, R)
`;

export const factors = [
  unrolled("linalg_cholesky(Tensor self, *, bool upper=False) -> Tensor", cholesky("L")),
  unrolled("cholesky(Tensor self, bool upper=False) -> Tensor", cholesky("L")),
  unrolled(
    "linalg_cholesky_ex(Tensor self, *, bool upper=False, bool check_errors=False) -> (Tensor, Tensor)",
    cholesky("(L, None)"),
  ),
  unrolled(
    "linalg_solve_triangular(Tensor self, Tensor B, *, bool upper, bool left=True, bool unitriangular=False) -> Tensor",
    lines("A = self", TRIANGULAR, "return solution"),
  ),
  unrolled(
    "triangular_solve(Tensor self, Tensor A, bool upper=True, bool transpose=False, bool unitriangular=False) -> (Tensor, Tensor)",
    `
matrix = A
if transpose:
  matrix = torch.transpose(A, -2, -1)
solution = torch.linalg_solve_triangular(matrix, self, upper=upper != transpose, unitriangular=unitriangular)
return (solution, A)
`,
  ),
  unrolled(
    "cholesky_solve(Tensor self, Tensor input2, bool upper=False) -> Tensor",
    `
L = input2
if upper:
  L = torch.transpose(input2, -2, -1)
half = torch.linalg_solve_triangular(L, self, upper=False)
return torch.linalg_solve_triangular(torch.transpose(L, -2, -1), half, upper=True)
`,
  ),
  unrolled(
    "cholesky_inverse(Tensor self, bool upper=False) -> Tensor",
    `
unit = torch.expand_as(torch.eye(torch.size(self, -1), dtype=ops.prim.dtype(self)), self)
return torch.cholesky_solve(unit, self, upper)
`,
  ),
  unrolled(
    'linalg_qr(Tensor A, str mode="reduced") -> (Tensor, Tensor)',
    lines(HOUSEHOLDER, 'reduced = mode != "complete"', REDUCE),
  ),
  unrolled(
    "qr(Tensor self, bool some=True) -> (Tensor, Tensor)",
    lines("A = self", HOUSEHOLDER, "reduced = some", REDUCE),
  ),
];
