"""Saves a model for trtorch-build: the one step that needs Python. Put your own model in."""

import numpy
import torch
from torch import nn
from torch.export import Dim

model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10)).eval()
x = torch.randn(4, 3, 32, 32)

torch.export.save(torch.export.export(model, (x,), dynamic_shapes=({0: Dim("batch", min=1, max=32)},)), "models/model.pt2")

# Inputs and outputs to hold the engines against: name the file as golden in the config.
with torch.no_grad():
    numpy.savez("models/model.io.npz", in0=x.numpy(), out0=model(x).numpy())
