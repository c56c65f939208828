import { decomposition } from "../decomposition.js";

const AXES = ["x", "y", "z"] as const;

/** The 8 corners around a place, by the step along each axis. */
const CORNERS = [0, 1, 2, 3, 4, 5, 6, 7].map((corner) => AXES.map((_, axis) => (corner >> axis) & 1));

/** The value of the voxel `(x, y, z)` times `weight`, added to `sum`; voxels outside of the volume are 0. */
const addVoxel = (weight: string, at: (axis: string, index: number) => string): string => `
inside = torch.ones_like(place_x).to(11)
${AXES.map(
  (axis, index) => `v_${axis} = ${at(axis, index)}
inside = torch.logical_and(inside, torch.logical_and(v_${axis} >= 0.0, v_${axis} <= last_${axis}))
i_${axis} = torch.to(torch.clamp(v_${axis}, 0.0, last_${axis}), 4)`,
).join("\n")}
index = torch.expand(torch.unsqueeze((i_z * size_y + i_y) * size_x + i_x, 1), [-1, channels, -1])
weight = torch.where(inside, ${weight}, torch.zeros_like(place_x))
sum = sum + torch.gather(volume, 2, index) * torch.unsqueeze(weight, 1)
`;

/**
 * Sampling of volumes by what they are made of, for the full TensorRT, whose layer samples images only: the place of each
 * point along each axis as `torch.nn.functional.grid_sample` defines it, then the nearest voxel or the 8 around it.
 */
export const volumeSampled = decomposition(
  "aten::grid_sampler_3d(Tensor input, Tensor grid, int interpolation_mode, int padding_mode, bool align_corners) -> Tensor",
  `
batch = torch.size(input, 0)
channels = torch.size(input, 1)
size_x = torch.size(input, 4)
size_y = torch.size(input, 3)
size_z = torch.size(input, 2)
volume = torch.to(torch.reshape(input, [batch, channels, -1]), 6)
points = torch.reshape(torch.to(grid, 6), [batch, -1, 3])
${AXES.map(
  (axis, i) => `
last_${axis} = float(size_${axis} - 1)
g = torch.select(points, 2, ${i})
if align_corners:
  p = (g + 1.0) * (0.5 * last_${axis})
  low_${axis} = 0.0
  span_${axis} = float(max(size_${axis} - 1, 1))
else:
  p = ((g + 1.0) * float(size_${axis}) - 1.0) * 0.5
  low_${axis} = -0.5
  span_${axis} = float(size_${axis})
if padding_mode == 1:
  place_${axis} = torch.clamp(p, 0.0, last_${axis})
else:
  if padding_mode == 2:
    wave = torch.remainder(p - low_${axis}, 2.0 * span_${axis})
    folded = torch.minimum(wave, 2.0 * span_${axis} - wave) + low_${axis}
    place_${axis} = torch.clamp(folded, 0.0, last_${axis})
  else:
    place_${axis} = p`,
).join("\n")}
sum = torch.zeros([batch, channels, torch.size(points, 1)], dtype=6)
if interpolation_mode == 1:
${indented(addVoxel("torch.ones_like(place_x)", (axis) => `torch.round(place_${axis})`))}
else:
${AXES.map((axis) => `  floor_${axis} = torch.floor(place_${axis})\n  part_${axis} = place_${axis} - floor_${axis}`).join("\n")}
${CORNERS.map((steps) => {
  const weight = AXES.map((axis, i) => (steps[i] === 1 ? `part_${axis}` : `(1.0 - part_${axis})`)).join(" * ");
  return indented(addVoxel(weight, (axis, index) => `floor_${axis} + ${steps[index]}.0`));
}).join("\n")}
sampled = torch.reshape(sum, [batch, channels, torch.size(grid, 1), torch.size(grid, 2), torch.size(grid, 3)])
return torch.type_as(sampled, input)
`,
);

function indented(text: string): string {
  return text.trim().replace(/^/gm, "  ");
}
