#!/usr/bin/env python3
"""Makes the models of the zoo with PyTorch and torchvision: random weights, seeded.

make_models.py OUT [NAME ...] [--forms trace,script,export,export-dynamic,export-core]

For each model OUT/NAME/ receives trace.ts, script.ts, export.pt2 (static), export-dynamic.pt2 (dynamic batch),
export-core.pt2 (after run_decompositions()) and io.npz with in0.. and out0.. as PyTorch computed them. A form that
PyTorch itself cannot make gets FORM.failed with its words. What is there is not made again.
"""
import argparse, pathlib, sys, traceback, warnings
import numpy as np
import torch
import torchvision
from torchvision import models

warnings.filterwarnings("ignore")


def image(size=224, batch=1):
    return (torch.rand(batch, 3, size, size),)


def video(frames=8, size=112):
    return (torch.rand(1, 3, frames, size, size),)


CLASSIFICATION = [
    "alexnet", "vgg11_bn", "resnet18", "resnet50", "squeezenet1_1", "densenet121", "inception_v3", "googlenet",
    "shufflenet_v2_x1_0", "mobilenet_v2", "mobilenet_v3_small", "resnext50_32x4d", "wide_resnet50_2", "mnasnet1_0",
    "efficientnet_b0", "efficientnet_v2_s", "regnet_y_400mf", "vit_b_16", "swin_t", "swin_v2_t", "convnext_tiny", "maxvit_t",
]


def classification(name):
    options = {"init_weights": False} if name in ("inception_v3", "googlenet") else {}
    return lambda: (getattr(models, name)(weights=None, **options), image(299 if name == "inception_v3" else 224))


def segmentation(name):
    return lambda: (getattr(models.segmentation, name)(weights=None, weights_backbone=None), image(128))


def raft():
    return models.optical_flow.raft_small(weights=None), (torch.rand(1, 3, 128, 160), torch.rand(1, 3, 128, 160))


class Recurrent(torch.nn.Module):
    """A recurrent layer and a linear one on its last output."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer
        self.head = torch.nn.Linear(layer.hidden_size * (2 if layer.bidirectional else 1), 5)

    def forward(self, x):
        y, _ = self.layer(x)
        return self.head(y)


def recurrent(kind, **options):
    return lambda: (Recurrent(getattr(torch.nn, kind)(16, 24, batch_first=True, **options)), (torch.randn(2, 7, 16),))


class SelfAttention(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = torch.nn.MultiheadAttention(32, 4, batch_first=True)

    def forward(self, x):
        return self.attention(x, x, x)


def encoder():
    layer = torch.nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, activation="gelu")
    return torch.nn.TransformerEncoder(layer, 2), (torch.randn(2, 9, 32),)


def decoder():
    layer = torch.nn.TransformerDecoderLayer(32, 4, 64, batch_first=True)
    return torch.nn.TransformerDecoder(layer, 2), (torch.randn(2, 5, 32), torch.randn(2, 9, 32))


ZOO = {
    **{name: classification(name) for name in CLASSIFICATION},
    "fcn_resnet50": segmentation("fcn_resnet50"),
    "deeplabv3_resnet50": segmentation("deeplabv3_resnet50"),
    "lraspp_mobilenet_v3_large": segmentation("lraspp_mobilenet_v3_large"),
    "r3d_18": lambda: (models.video.r3d_18(weights=None), video()),
    "mvit_v1_b": lambda: (models.video.mvit_v1_b(weights=None), video(16, 224)),
    "raft_small": raft,
    "vit_b_16_grad": classification("vit_b_16"),
    "nn_lstm": recurrent("LSTM"),
    "nn_bilstm": recurrent("LSTM", num_layers=2, bidirectional=True),
    "nn_gru": recurrent("GRU"),
    "nn_rnn": recurrent("RNN"),
    "nn_mha": lambda: (SelfAttention(), (torch.randn(2, 9, 32),)),
    "nn_transformer_encoder": encoder,
    "nn_transformer_decoder": decoder,
}


def flatten(value):
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in flatten(item)]
    if isinstance(value, (tuple, list)):
        return [leaf for item in value for leaf in flatten(item)]
    return []


def fill_in(model):
    """An untrained model hides mistakes behind zeros: biases, heads, statistics of batch norms. Give them numbers."""
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm) and module.running_mean is not None:
            torch.nn.init.normal_(module.running_mean, 0, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.8, 1.2)
    for parameter in model.parameters():
        if not parameter.detach().any():
            torch.nn.init.normal_(parameter, 0, 0.02)


def make(name, out, forms):
    folder = out / name
    folder.mkdir(parents=True, exist_ok=True)
    wanted = [form for form in forms if not any((folder / f"{form}{end}").exists() for end in (".ts", ".pt2", ".failed"))]
    if not wanted and (folder / "io.npz").exists():
        return
    torch.manual_seed(0)
    model, inputs = ZOO[name]()
    fill_in(model)
    model.eval()
    grad = torch.enable_grad if name.endswith("_grad") else torch.no_grad
    with grad():
        outputs = flatten(model(*inputs))
        np.savez(
            folder / "io.npz",
            **{f"in{i}": value.numpy() for i, value in enumerate(inputs)},
            **{f"out{i}": value.detach().numpy() for i, value in enumerate(outputs)},
        )
        for form in wanted:
            try:
                save(form, model, inputs, folder)
                print(name, form, flush=True)
            except Exception as error:
                (folder / f"{form}.failed").write_text("".join(traceback.format_exception_only(error))[:2000])
                print(name, form, "failed:", str(error).splitlines()[0][:120], flush=True)


def save(form, model, inputs, folder):
    if form == "trace":
        torch.jit.save(torch.jit.trace(model, inputs, strict=False, check_trace=False), folder / "trace.ts")
    elif form == "script":
        torch.jit.save(torch.jit.script(model), folder / "script.ts")
    else:
        dynamic = None
        if form == "export-dynamic":
            batch = torch.export.Dim("batch", min=1, max=8)
            dynamic = tuple({0: batch} for _ in inputs)
            inputs = tuple(torch.cat([value] * (2 if value.shape[0] == 1 else 1)) for value in inputs)
        program = torch.export.export(model, inputs, dynamic_shapes=dynamic)
        if form == "export-core":
            program = program.run_decompositions()
        torch.export.save(program, folder / f"{form}.pt2")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--forms", default="trace,script")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(ZOO)
    if unknown:
        sys.exit(f"unknown models: {', '.join(sorted(unknown))}; there are {', '.join(ZOO)}")
    for name in arguments.names or ZOO:
        make(name, arguments.out, arguments.forms.split(","))


main()
