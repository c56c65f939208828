#!/usr/bin/env python3
"""Makes the models of the zoo with PyTorch, torchvision and, where it is installed, transformers: random weights, seeded.

make_models.py OUT [NAME ...] [--forms trace,script,export,export-dynamic,export-core]

For each model OUT/NAME/ receives trace.ts, script.ts, export.pt2 (static), export-dynamic.pt2 (sizes are ranges: those
of the table, else the batch), export-core.pt2 (after run_decompositions()) and what PyTorch computed, as in0.. and
out0..: io.npz, and io-min.npz, io-max.npz, io-odd.npz at other sizes. inputs.json says what ranges the TorchScript forms
are converted with. A form that PyTorch itself cannot make gets FORM.failed with its words. What is there is not made
again.
"""
import argparse, json, pathlib, sys, traceback, warnings
import numpy as np
import spectral_models
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


class Text(torch.nn.Module):
    """An encoder of token ids with learned positions and a mask of padding (id 0), as BERT is built."""

    def __init__(self, width=32, heads=4, layers=2, ids=100, positions=64):
        super().__init__()
        self.words = torch.nn.Embedding(ids, width)
        self.positions = torch.nn.Embedding(positions, width)
        self.norm = torch.nn.LayerNorm(width)
        layer = torch.nn.TransformerEncoderLayer(width, heads, 2 * width, batch_first=True, activation="gelu")
        self.encoder = torch.nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.pooler = torch.nn.Linear(width, width)

    def forward(self, ids):
        positions = torch.arange(ids.size(1), device=ids.device)
        x = self.norm(self.words(ids) + self.positions(positions))
        mask = torch.zeros(ids.size(0), 1, 1, ids.size(1), dtype=x.dtype, device=x.device)
        mask = mask.masked_fill((ids == 0)[:, None, None, :], -1e4)
        for layer in self.encoder.layers:
            x = self.layer(layer, x, mask)
        return x, torch.tanh(self.pooler(x[:, 0]))

    def layer(self, layer: torch.nn.Module, x, mask):
        y = layer.norm1(x)
        q, k, v = torch.nn.functional.linear(y, layer.self_attn.in_proj_weight, layer.self_attn.in_proj_bias).chunk(3, -1)
        split = lambda t: t.view(t.size(0), t.size(1), 4, t.size(2) // 4).transpose(1, 2)
        y = torch.nn.functional.scaled_dot_product_attention(split(q), split(k), split(v), attn_mask=mask)
        x = x + layer.self_attn.out_proj(y.transpose(1, 2).reshape(x.shape))
        return x + layer.linear2(torch.nn.functional.gelu(layer.linear1(layer.norm2(x))))


class Branches(torch.nn.Module):
    """Branches on sizes, one that the ranges decide and one that they do not, and a loop over a list of layers."""

    def __init__(self):
        super().__init__()
        self.layers = torch.nn.ModuleList([torch.nn.Conv2d(4, 4, 3, padding=1) for _ in range(3)])
        self.wide = torch.nn.Linear(4, 6)
        self.narrow = torch.nn.Linear(4, 6)

    def forward(self, x):
        if x.size(2) < 2:
            raise ValueError("too small")
        for layer in self.layers:
            x = torch.relu(layer(x)) + x
        x = torch.nn.functional.pad(x, [0, 0, 0, x.size(2) % 2])
        if x.size(2) % 4 == 0:
            x = torch.sigmoid(x)
        if x.size(3) > 100:
            x = torch.nn.functional.avg_pool2d(x, 4)
        else:
            x = torch.nn.functional.max_pool2d(x, 2)
        y = x.mean([2, 3])
        if x.size(2) > x.size(3):
            return self.narrow(y)
        return self.wide(y)


class Ranges:
    """Sizes by name with min, opt, max and an odd one, and the dims of each input: sizes or names."""

    def __init__(self, sizes, dims, make=None):
        self.sizes, self.dims, self.make = sizes, dims, make or (lambda *shapes: tuple(torch.rand(s) for s in shapes))

    def inputs(self, which):
        at = {name: sizes[which] for name, sizes in self.sizes.items()}
        return self.make(*[[at.get(dim, dim) for dim in dims] for dims in self.dims])

    def dynamic_shapes(self):
        named = {name: torch.export.Dim(name, min=s["min"], max=s["max"]) for name, s in self.sizes.items()}
        return tuple({i: named[dim] for i, dim in enumerate(dims) if dim in named} for dims in self.dims)

    def json(self):
        bounds = ("min", "opt", "max")
        spec = lambda dim: {**{b: self.sizes[dim][b] for b in bounds}, "symbol": dim} if dim in self.sizes else dim
        return [[spec(dim) for dim in dims] for dims in self.dims]


def sizes(smallest, opt, largest, odd):
    return {"min": smallest, "opt": opt, "max": largest, "odd": odd}


def ranged(model, ranges):
    return lambda: (model(), ranges.inputs("opt"), ranges)


IMAGES = Ranges(
    {"batch": sizes(1, 2, 3, 1), "height": sizes(64, 96, 160, 97), "width": sizes(64, 128, 160, 75)},
    [["batch", 3, "height", "width"]],
)
TEXTS = Ranges(
    {"batch": sizes(1, 2, 8, 3), "length": sizes(2, 16, 64, 37)},
    [["batch", "length"]],
    lambda shape: (torch.randint(0, 100, shape),),
)
BRANCHES = Ranges(
    {"batch": sizes(1, 2, 4, 3), "height": sizes(4, 16, 32, 7), "width": sizes(4, 16, 32, 25)},
    [["batch", 4, "height", "width"]],
)

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
    **spectral_models.MODELS,
    "ranges_mobilenet_v2": ranged(lambda: models.mobilenet_v2(weights=None), IMAGES),
    "ranges_lraspp": ranged(lambda: models.segmentation.lraspp_mobilenet_v3_large(weights=None, weights_backbone=None), IMAGES),
    "ranges_text": ranged(Text, TEXTS),
    "ranges_branches": ranged(Branches, BRANCHES),
}

try:
    import transformers_models

    for name, (make_model, ranges) in transformers_models.models(Ranges, sizes).items():
        ZOO[name] = ranged(make_model, ranges)
except ImportError:
    print("without transformers the zoo has no hf_* models", file=sys.stderr)

# Tracing and exporting would fix one way through the branches; what takes a module as an argument cannot be scripted.
ONLY = {"ranges_branches": ["script"], "ranges_text": ["trace", "export", "export-dynamic", "export-core"]}


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
    # Models of transformers are not written to be scripted.
    scriptless = [form for form in forms if form != "script" or not name.startswith("hf_")]
    forms = [form for form in scriptless if form in ONLY.get(name, forms)]
    wanted = [form for form in forms if not any((folder / f"{form}{end}").exists() for end in (".ts", ".pt2", ".failed"))]
    if not wanted and (folder / "io.npz").exists() and ("export-dynamic" not in forms or (folder / "io-odd.npz").exists()):
        return
    torch.manual_seed(0)
    model, inputs, *rest = ZOO[name]()
    ranges = rest[0] if rest else None
    fill_in(model)
    model.eval()
    grad = torch.enable_grad if name.endswith("_grad") else torch.no_grad
    with grad():
        record(model, inputs, folder / "io.npz")
        if ranges is not None:
            (folder / "inputs.json").write_text(json.dumps(ranges.json()))
            for which in ("min", "max", "odd"):
                record(model, ranges.inputs(which), folder / f"io-{which}.npz")
        elif "export-dynamic" in forms:
            record(model, batched(inputs, 3), folder / "io-odd.npz")
        for form in wanted:
            try:
                save(form, model, inputs, ranges, folder)
                print(name, form, flush=True)
            except Exception as error:
                (folder / f"{form}.failed").write_text("".join(traceback.format_exception_only(error))[:2000])
                print(name, form, "failed:", str(error).splitlines()[0][:120], flush=True)


def record(model, inputs, file):
    outputs = flatten(model(*inputs))
    np.savez(
        file,
        **{f"in{i}": value.numpy() for i, value in enumerate(inputs)},
        **{f"out{i}": value.detach().numpy() for i, value in enumerate(outputs)},
    )


def batched(inputs, batch):
    """The inputs with another batch: different numbers in each element."""
    return tuple(torch.cat([value[:1] * (1 - 0.1 * i) for i in range(batch)]) for value in inputs)


def save(form, model, inputs, ranges, folder):
    if form == "trace":
        torch.jit.save(torch.jit.trace(model, inputs, strict=False, check_trace=False), folder / "trace.ts")
    elif form == "script":
        torch.jit.save(torch.jit.script(model), folder / "script.ts")
    else:
        dynamic = None
        if form == "export-dynamic":
            if ranges is not None:
                dynamic = ranges.dynamic_shapes()
            else:
                batch = torch.export.Dim("batch", min=1, max=8)
                dynamic = tuple({0: batch} for _ in inputs)
                inputs = batched(inputs, 2)
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


if __name__ == "__main__":
    main()
