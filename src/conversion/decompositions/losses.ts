import { decomposition } from "../decomposition.js";

// What PyTorch's documentation of torch.nn.functional gives as each loss, element by element, and then `reduction`: 0 leaves
// the elements, 1 is their mean, 2 their sum.

const reduced = (mean: string) => `if reduction == 0:
  result = loss
else:
  if reduction == 1:
    result = ${mean}
  else:
    result = torch.sum(loss)`;

const lossOf = (schema: string, loss: string) =>
  decomposition(schema, `${loss.trimEnd()}\n${reduced("torch.mean(loss)")}\nreturn result`);

export const distances = [
  lossOf(
    "aten::mse_loss(Tensor self, Tensor target, int reduction=1) -> Tensor",
    `
loss = torch.square(self - target)
`,
  ),
  lossOf(
    "aten::l1_loss(Tensor self, Tensor target, int reduction=1) -> Tensor",
    `
loss = torch.abs(self - target)
`,
  ),
  lossOf(
    "aten::smooth_l1_loss(Tensor self, Tensor target, int reduction=1, float beta=1.) -> Tensor",
    `
distance = torch.abs(self - target)
if beta == 0.0:
  loss = distance
else:
  loss = torch.where(distance < beta, torch.square(distance) * (0.5 / beta), distance - 0.5 * beta)
`,
  ),
  lossOf(
    "aten::huber_loss(Tensor self, Tensor target, int reduction=1, float delta=1.) -> Tensor",
    `
distance = torch.abs(self - target)
loss = torch.where(distance <= delta, torch.square(distance) * 0.5, (distance - 0.5 * delta) * delta)
`,
  ),
];

export const likelihoods = [
  lossOf(
    "aten::binary_cross_entropy(Tensor self, Tensor target, Tensor? weight=None, int reduction=1) -> Tensor",
    `
yes = torch.clamp_min(torch.log(self), -100.0)
no = torch.clamp_min(torch.log1p(-self), -100.0)
loss = (target - 1.0) * no - target * yes
if weight is not None:
  loss = loss * weight
`,
  ),
  lossOf(
    "aten::binary_cross_entropy_with_logits(Tensor self, Tensor target, Tensor? weight=None, Tensor? pos_weight=None, int reduction=1) -> Tensor",
    `
log_sigmoid = torch.log_sigmoid(self)
if pos_weight is not None:
  log_sigmoid = log_sigmoid * ((pos_weight - 1.0) * target + 1.0)
loss = (1.0 - target) * self - log_sigmoid
if weight is not None:
  loss = loss * weight
`,
  ),
  lossOf(
    "aten::kl_div(Tensor self, Tensor target, int reduction=1, *, bool log_target=False) -> Tensor",
    `
if log_target:
  loss = torch.exp(target) * (target - self)
else:
  loss = torch.xlogy(target, target) - target * self
`,
  ),
  lossOf(
    "aten::poisson_nll_loss(Tensor input, Tensor target, bool log_input, bool full, float eps, int reduction) -> Tensor",
    `
if log_input:
  loss = torch.exp(input) - target * input
else:
  loss = input - target * torch.log(input + eps)
if full:
  stirling = target * torch.log(target) - target + torch.log(target * 6.283185307179586) * 0.5
  loss = loss + torch.where(target > 1.0, stirling, torch.zeros_like(stirling))
`,
  ),
];

export const margins = [
  lossOf(
    "aten::soft_margin_loss(Tensor self, Tensor target, int reduction=1) -> Tensor",
    `
loss = torch.log1p(torch.exp(-target * self))
`,
  ),
  lossOf(
    "aten::hinge_embedding_loss(Tensor self, Tensor target, float margin=1., int reduction=1) -> Tensor",
    `
zero = torch.zeros_like(self)
loss = torch.where(target != 1, torch.clamp_min(margin - self, 0.0), zero) + torch.where(target != -1, self, zero)
`,
  ),
  lossOf(
    "aten::margin_ranking_loss(Tensor input1, Tensor input2, Tensor target, float margin=0., int reduction=1) -> Tensor",
    `
loss = torch.clamp_min(-target * (input1 - input2) + margin, 0.0)
`,
  ),
  lossOf(
    "aten::cosine_embedding_loss(Tensor input1, Tensor input2, Tensor target, float margin=0., int reduction=1) -> Tensor",
    `
dim = [torch.dim(target)]
product = torch.sum(input1 * input2, dim)
sizes = (torch.sum(torch.square(input1), dim) + 1e-12) * (torch.sum(torch.square(input2), dim) + 1e-12)
cosine = product / torch.sqrt(sizes)
zero = torch.zeros_like(cosine)
loss = torch.where(target == 1, 1.0 - cosine, zero) + torch.where(target == -1, torch.clamp_min(cosine - margin, 0.0), zero)
`,
  ),
  lossOf(
    "aten::triplet_margin_loss(Tensor anchor, Tensor positive, Tensor negative, float margin=1., float p=2., float eps=9.9999999999999995e-07, bool swap=False, int reduction=1) -> Tensor",
    `
near = torch.pairwise_distance(anchor, positive, p, eps)
far = torch.pairwise_distance(anchor, negative, p, eps)
if swap:
  far = torch.minimum(far, torch.pairwise_distance(positive, negative, p, eps))
loss = torch.clamp_min(near - far + margin, 0.0)
`,
  ),
];

// The classes are the second dim of batches, the only one of a single example.

const CLASSES = "Tensor self, Tensor target, Tensor? weight=None, int reduction=1, SymInt ignore_index=-100";

const FORWARD = "Tensor self, Tensor target, Tensor? weight, int reduction, SymInt ignore_index";

const nllForward = `
dim = min(torch.dim(self) - 1, 1)
counts = target != ignore_index
index = torch.where(counts, target, torch.zeros_like(target))
picked = torch.squeeze(torch.gather(self, dim, torch.unsqueeze(index, dim)), dim)
if weight is None:
  weights = torch.type_as(counts, self)
else:
  weights = torch.reshape(torch.index_select(weight, 0, torch.flatten(index)), torch.size(index)) * counts
loss = -picked * weights
total = torch.sum(weights)
${reduced("torch.sum(loss) / total")}
return (result, total)
`;

export const classes = [
  decomposition(`aten::nll_loss_forward(${FORWARD}) -> (Tensor output, Tensor total_weight)`, nllForward),
  decomposition(`aten::nll_loss2d_forward(${FORWARD}) -> (Tensor output, Tensor total_weight)`, nllForward),
  ...["nll_loss", "nll_loss2d", "nll_loss_nd"].map((name) =>
    decomposition(
      `aten::${name}(${CLASSES}) -> Tensor`,
      `
result, total = torch.nll_loss_forward(self, target, weight, reduction, ignore_index)
return result
`,
    ),
  ),
  decomposition(
    `aten::cross_entropy_loss(${CLASSES}, float label_smoothing=0.) -> Tensor`,
    `
dim = min(torch.dim(self) - 1, 1)
classes = torch.size(self, dim)
log_softmax = torch.log_softmax(self, dim)
if weight is None:
  weighted = log_softmax
else:
  weighted = log_softmax * torch.reshape(weight, [-1] + [1] * (torch.dim(self) - 1 - dim))
if torch.dim(target) == torch.dim(self):
  if label_smoothing > 0.0:
    probabilities = target * (1.0 - label_smoothing) + label_smoothing / classes
  else:
    probabilities = target
  loss = -torch.sum(weighted * probabilities, [dim])
  total = torch.sum(torch.ones_like(loss))
else:
  negative, total = torch.nll_loss_forward(log_softmax, target, weight, 0, ignore_index)
  if label_smoothing > 0.0:
    smooth = torch.where(target != ignore_index, -torch.sum(weighted, [dim]), torch.zeros_like(negative))
    loss = negative * (1.0 - label_smoothing) + smooth * (label_smoothing / classes)
  else:
    loss = negative
${reduced("torch.sum(loss) / total")}
return result
`,
  ),
];
