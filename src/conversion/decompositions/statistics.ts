import { decomposition } from "../decomposition.js";

const SORTED = { limits: "up to 3840 elements" };

const COVARIANCE = `
x = self
if torch.dim(self) < 2:
  x = torch.reshape(self, [1, -1])
`;

export const covariances = [
  decomposition(
    "aten::cov(Tensor self, *, int correction=1, Tensor? fweights=None, Tensor? aweights=None) -> Tensor",
    `${COVARIANCE}
if fweights is None and aweights is None:
  count = torch.size(x, 1)
  centered = x - torch.mean(x, [1], True)
  result = torch.matmul(centered, torch.t(centered)) / torch.clamp_min(torch.tensor(float(count - correction)), 0.0)
else:
  if fweights is None:
    weights = aweights
  else:
    if aweights is None:
      weights = fweights
    else:
      weights = fweights * aweights
  total = torch.sum(weights)
  centered = x - torch.sum(x * weights, [1], True) / total
  if aweights is None:
    norm = total - correction
  else:
    norm = total - correction * torch.sum(weights * aweights) / total
  result = torch.matmul(centered * weights, torch.t(centered)) / torch.clamp_min(norm, 0)
if torch.dim(self) < 2:
  result = torch.reshape(result, [])
return result
`,
  ),
  decomposition(
    "aten::corrcoef(Tensor self) -> Tensor",
    `
c = torch.cov(self)
if torch.dim(self) < 2:
  result = c / c
else:
  deviation = torch.sqrt(torch.diagonal(c))
  result = torch.clamp(c / torch.unsqueeze(deviation, 1) / torch.unsqueeze(deviation, 0), -1.0, 1.0)
return result
`,
  ),
];

// --- Trapezoids: the areas under a line through the points ------------------------------------------------------------

const areas = (width: string) => `
left = torch.slice(y, dim, None, -1)
right = torch.slice(y, dim, 1, None)
areas = (left + right) * ${width} / 2.0
`;

/** The widths between the points of `x`: of one dim, they are along `dim`. */
const WIDTHS = `
if torch.dim(x) == 1:
  width = torch.slice(x, 0, 1, None) - torch.slice(x, 0, None, -1)
  axis = dim
  if dim < 0:
    axis = dim + torch.dim(y)
  width = torch.reshape(width, [-1] + [1] * (torch.dim(y) - 1 - axis))
else:
  width = torch.slice(x, dim, 1, None) - torch.slice(x, dim, None, -1)
`;

export const trapezoids = [
  ...["trapezoid.dx(Tensor y, *, Scalar dx=1, int dim=-1)", "trapz.dx(Tensor y, *, float dx=1., int dim=-1)"].map(
    (signature) => decomposition(`aten::${signature} -> Tensor`, `${areas("dx")}return torch.sum(areas, [dim])`),
  ),
  ...["trapezoid", "trapz"].map((name) =>
    decomposition(
      `aten::${name}.x(Tensor y, Tensor x, *, int dim=-1) -> Tensor`,
      `${WIDTHS}${areas("width")}return torch.sum(areas, [dim])`,
    ),
  ),
  decomposition(
    "aten::cumulative_trapezoid.dx(Tensor y, *, Scalar dx=1, int dim=-1) -> Tensor",
    `${areas("dx")}return torch.cumsum(areas, dim)`,
  ),
  decomposition(
    "aten::cumulative_trapezoid.x(Tensor y, Tensor x, *, int dim=-1) -> Tensor",
    `${WIDTHS}${areas("width")}return torch.cumsum(areas, dim)`,
  ),
];

// --- Order statistics -------------------------------------------------------------------------------------------------

/**
 * Quantiles `q` of [0, 1] of the numbers along `dim`, between whose ranks `interpolation` chooses; `ignored` NaNs are left out,
 * others make the result NaN. Several q come as a dim in front.
 */
const quantile = (q: string, ignored: boolean) => `
if dim is None:
  flat = torch.flatten(self)
  axis = 0
else:
  flat = self
  axis = dim
  if dim < 0:
    axis = dim + torch.dim(self)
x = torch.transpose(flat, axis, -1)
isNan = torch.isnan(x)
count = torch.sum(torch.bitwise_not(isNan), [-1], True)
x, order = torch.sort(torch.where(isNan, torch.full_like(x, inf), x))
${q}
rank = torch.reshape(quantiles, [-1] + [1] * torch.dim(x)) * ${ignored ? "torch.clamp_min(count - 1, 0)" : "(torch.size(x, -1) - 1)"}
low = torch.floor(rank)
high = torch.ceil(rank)
if interpolation == "linear":
  weight = rank - low
else:
  if interpolation == "lower":
    weight = torch.zeros_like(rank)
  else:
    if interpolation == "higher":
      weight = torch.ones_like(rank)
    else:
      if interpolation == "midpoint":
        weight = torch.where(high > low, torch.full_like(rank, 0.5), torch.zeros_like(rank))
      else:
        weight = torch.round(rank) - low
spread = torch.unsqueeze(x, 0) + torch.zeros_like(rank)
shape = torch.slice(torch.size(spread), None, -1) + [1]
below = torch.gather(spread, -1, torch.expand(torch.to(low, dtype=4), shape))
above = torch.gather(spread, -1, torch.expand(torch.to(high, dtype=4), shape))
result = torch.lerp(below, above, torch.expand(weight, shape))
undefined = ${ignored ? "count == 0" : "count < torch.size(x, -1)"}
result = torch.where(undefined, torch.full_like(result, nan), result)
result = torch.transpose(result, axis + 1, -1)
if dim is None:
  result = torch.reshape(result, [-1] + [1] * torch.dim(self))
  if not keepdim:
    result = torch.reshape(result, [-1])
else:
  if not keepdim:
    result = torch.squeeze(result, axis + 1)
${q.startsWith("quantiles = q") ? "if torch.dim(q) == 0:\n  result = torch.squeeze(result, 0)" : "result = torch.squeeze(result, 0)"}
return result
`;

export const quantiles = (
  [
    ["quantile", false],
    ["nanquantile", true],
  ] as const
).flatMap(([name, ignored]) => [
  decomposition(
    `aten::${name}(Tensor self, Tensor q, int? dim=None, bool keepdim=False, *, str interpolation="linear") -> Tensor`,
    quantile("quantiles = q", ignored),
    SORTED,
  ),
  decomposition(
    `aten::${name}.scalar(Tensor self, float q, int? dim=None, bool keepdim=False, *, str interpolation="linear") -> Tensor`,
    quantile("quantiles = torch.full([], q, dtype=ops.prim.dtype(self))", ignored),
    SORTED,
  ),
]);

/** The lower one of two in the middle; NaN where there is no other. */
const NANMEDIAN = `
isNan = torch.isnan(x)
count = torch.sum(torch.bitwise_not(isNan), [axis], True)
sorted, order = torch.sort(torch.where(isNan, torch.full_like(x, inf), x), axis)
middle = torch.clamp_min(torch.floor_divide(count - 1, 2), 0)
values = torch.gather(sorted, axis, middle)
values = torch.where(count == 0, torch.full_like(values, nan), values)
`;

export const nanmedians = [
  decomposition(
    "aten::nanmedian(Tensor self) -> Tensor",
    `
x = torch.flatten(self)
axis = 0
${NANMEDIAN.trim()}
return torch.squeeze(values, 0)
`,
    SORTED,
  ),
  decomposition(
    "aten::nanmedian.dim(Tensor self, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)",
    `
x = self
axis = dim
${NANMEDIAN.trim()}
indices = torch.gather(order, axis, middle)
if not keepdim:
  values = torch.squeeze(values, axis)
  indices = torch.squeeze(indices, axis)
return (values, indices)
`,
    SORTED,
  ),
];

// --- Norms of slices --------------------------------------------------------------------------------------------------

export const norms = [
  decomposition(
    "aten::renorm(Tensor self, Scalar p, int dim, Scalar maxnorm) -> Tensor",
    `
axes = annotate(List[int], [])
for i in range(torch.dim(self)):
  if i != dim and i != dim + torch.dim(self):
    torch.append(axes, i)
size = torch.linalg_vector_norm(self, p, axes, True)
return self * torch.where(size > maxnorm, maxnorm / (size + 1e-07), torch.ones_like(size))
`,
  ),
  decomposition(
    "aten::norm_except_dim(Tensor v, int pow=2, int dim=0) -> Tensor",
    `
axes = annotate(List[int], [])
for i in range(torch.dim(v)):
  if i != dim:
    torch.append(axes, i)
return torch.linalg_vector_norm(v, pow, axes, True)
`,
  ),
];
