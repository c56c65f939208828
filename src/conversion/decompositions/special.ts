import { decomposition } from "../decomposition.js";

/** torch.special's names for operators that have another one. */
const NAMES = {
  special_sinc: "sinc",
  special_i0: "i0",
  special_gammaln: "lgamma",
  special_digamma: "digamma",
  special_psi: "digamma",
} as const;

export const names = Object.entries(NAMES).map(([name, operator]) =>
  decomposition(`aten::${name}(Tensor self) -> Tensor`, `return torch.${operator}(self)`),
);

export const probabilities = [
  decomposition("aten::special_logit(Tensor self, float? eps=None) -> Tensor", `return torch.logit(self, eps)`),
  decomposition(
    "aten::special_entr(Tensor self) -> Tensor",
    `
inside = torch.where(self == 0, torch.zeros_like(self), -self * torch.log(self))
return torch.where(self < 0, torch.full_like(self, -inf), inside)
`,
  ),
  decomposition("aten::special_ndtr(Tensor self) -> Tensor", "return torch.erfc(self * -0.7071067811865476) * 0.5"),
];

export const products = [
  decomposition(
    "aten::special_xlog1py(Tensor self, Tensor other) -> Tensor",
    `
product = self * torch.log1p(other)
product = torch.where(self == 0, torch.zeros_like(product), product)
return torch.where(torch.isnan(other), torch.full_like(product, nan), product)
`,
  ),
  decomposition("aten::ldexp.Tensor(Tensor self, Tensor other) -> Tensor", "return self * torch.pow(2.0, other)"),
  decomposition(
    "aten::special_round(Tensor self, *, int decimals=0) -> Tensor",
    "return torch.round(self, decimals=decimals)",
  ),
];

// --- The gamma function ------------------------------------------------------------------------------------------------

/** Lanczos' approximation with g = 7 and nine terms (Numerical Recipes 6.1; the coefficients are P. Godfrey's). */
const LANCZOS = [
  676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059, 12.507343278686905,
  -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
];

export const gamma = [
  // Below 1/2 by the reflection Γ(x) Γ(1 - x) = π / sin(πx).
  decomposition(
    "aten::lgamma(Tensor self) -> Tensor",
    `
reflects = self < 0.5
z = torch.where(reflects, -self, self - 1.0)
series = torch.full_like(z, 0.99999999999980993)
${LANCZOS.map((c, i) => `series = series + ${c} / (z + ${i + 1}.0)`).join("\n")}
t = z + 7.5
right = (z + 0.5) * torch.log(t) - t + torch.log(series) + 0.91893853320467278
size = torch.abs(self)
sine = torch.abs(torch.sin((size - torch.floor(size)) * 3.141592653589793))
left = 1.1447298858494002 - torch.log(sine) - right
return torch.where(reflects, left, right)
`,
  ),
  // ψ(x) = ψ(x + 1) - 1/x up to 6, from where ln x - 1/2x - 1/12x² + 1/120x⁴ - 1/252x⁶ is exact; below 0 by reflection
  // (Abramowitz and Stegun 6.3.5, 6.3.7, 6.3.18).
  decomposition(
    "aten::digamma(Tensor self) -> Tensor",
    `
reflects = self < 0
x = torch.where(reflects, 1.0 - self, self)
steps = torch.zeros_like(x)
for i in range(6):
  steps = steps + torch.where(x < 6.0, torch.reciprocal(x), torch.zeros_like(x))
  x = torch.where(x < 6.0, x + 1.0, x)
square = torch.reciprocal(x * x)
series = square * (0.08333333333333333 - square * (0.008333333333333333 - square * 0.003968253968253968))
result = torch.log(x) - 0.5 / x - series - steps
turn = (self - torch.floor(self)) * 3.141592653589793
return torch.where(reflects, result - 3.141592653589793 * torch.cos(turn) / torch.sin(turn), result)
`,
  ),
];

// --- Bessel functions --------------------------------------------------------------------------------------------------

/** Abramowitz and Stegun 9.8.1 and 9.8.2: I₀ in powers of (x/3.75)², and √x e^-x I₀ in powers of 3.75/x. */
const SMALL = [1.0, 3.5156229, 3.0899424, 1.2067492, 0.2659732, 0.0360768, 0.0045813];
const LARGE = [
  0.39894228, 0.01328592, 0.00225319, -0.00157565, 0.00916281, -0.02057706, 0.02635537, -0.01647633, 0.00392377,
];

const horner = (coefficients: readonly number[], x: string) =>
  coefficients.reduceRight((rest, c) => (rest === "" ? `${c}` : `${c.toFixed(8)} + ${x} * (${rest})`), "");

const bessel = (result: string) => `
size = torch.abs(self)
t = torch.square(torch.clamp_max(size, 3.75) / 3.75)
u = 3.75 / torch.clamp_min(size, 3.75)
small = ${horner(SMALL, "t")}
large = (${horner(LARGE, "u")}) / torch.sqrt(torch.clamp_min(size, 3.75))
return ${result}
`;

export const besselFunctions = [
  decomposition("aten::i0(Tensor self) -> Tensor", bessel("torch.where(size < 3.75, small, large * torch.exp(size))")),
  decomposition(
    "aten::special_i0e(Tensor self) -> Tensor",
    bessel("torch.where(size < 3.75, small * torch.exp(-size), large)"),
  ),
];
