"""A small convolutional network as quantization-aware training leaves it: 8-bit fake quantization of weights (a scale a
channel) and of activations (one scale). quantized.py OUT makes OUT/trace.ts and OUT/io.npz."""
import pathlib, sys
import numpy as np
import torch


class Quantized(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.convs = torch.nn.ModuleList(torch.nn.Conv2d(c, 64, 3, padding=1) for c in (3, 64, 64))
        self.linear = torch.nn.Linear(64, 10)

    @staticmethod
    def weight(weight):
        scale = weight.detach().abs().amax(dim=tuple(range(1, weight.dim()))) / 127
        return torch.fake_quantize_per_channel_affine(weight, scale, torch.zeros(weight.shape[0], dtype=torch.int32), 0, -128, 127)

    def forward(self, x):
        for conv, scale in zip(self.convs, (1 / 127, 1 / 100, 1 / 150)):
            x = torch.fake_quantize_per_tensor_affine(x, scale, 0, -128, 127)
            x = torch.relu(torch.nn.functional.conv2d(x, self.weight(conv.weight), conv.bias, padding=1))
        x = torch.fake_quantize_per_tensor_affine(x.mean((2, 3)), 1 / 200, 0, -128, 127)
        return torch.nn.functional.linear(x, self.weight(self.linear.weight), self.linear.bias)


out = pathlib.Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)
torch.manual_seed(0)
model, x = Quantized().eval(), torch.rand(4, 3, 32, 32)
with torch.no_grad():
    torch.jit.trace(model, x).save(out / "trace.ts")
    np.savez(out / "io.npz", in0=x.numpy(), out0=model(x).numpy())
