"""The models of the GPU run as Python, with the weights of their traces: what PyTorch's compiler and its ONNX exporter take."""
import io, warnings
import numpy as np
import torch
import torchvision

warnings.filterwarnings("ignore")


class LeNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        conv, linear = torch.nn.Conv2d, torch.nn.Linear
        self.feat = torch.nn.ModuleDict({"conv1": conv(1, 6, 3), "conv2": conv(6, 16, 3)})
        self.classifier = torch.nn.ModuleDict({"fc1": linear(576, 120), "fc2": linear(120, 84), "fc3": linear(84, 10)})

    def forward(self, x):
        for conv in self.feat.values():
            x = torch.nn.functional.max_pool2d(torch.relu(conv(x)), 2)
        x = torch.flatten(x, 1)
        x = torch.relu(self.classifier["fc2"](torch.relu(self.classifier["fc1"](x))))
        return self.classifier["fc3"](x)


class BertTiny(torch.nn.Module):
    def __init__(self):
        super().__init__()
        from transformers import BertConfig, BertModel

        sizes = dict(vocab_size=100, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4)
        # Fused attention in half precision is exported with scales in fp32, which a strongly typed network refuses.
        self.m = BertModel(BertConfig(**sizes, attn_implementation="eager"))

    def forward(self, ids, mask):
        return self.m(ids, attention_mask=mask)[0]


def load(folder, name):
    """On the CPU. `folder` holds trace.ts."""
    own = {"lenet": LeNet, "bert_tiny": BertTiny}
    model = own[name]() if name in own else getattr(torchvision.models, name)(weights=None)
    traced = torch.jit.load(folder / "trace.ts", map_location="cpu")
    # Buffers of position numbers are kept by some releases of transformers only.
    left = model.load_state_dict(traced.state_dict(), strict=False)
    assert all("embeddings" in key for key in (*left.missing_keys, *left.unexpected_keys)), left
    return model.eval()


class Half(torch.nn.Module):
    """In half precision, between the inputs and outputs of the original."""

    def __init__(self, model):
        super().__init__()
        self.model = model.half()

    def forward(self, *inputs):
        outputs = self.model(*(value.half() if value.is_floating_point() else value for value in inputs))
        return outputs.float() if isinstance(outputs, torch.Tensor) else tuple(value.float() for value in outputs)


def export(model, inputs, half=False):
    """PyTorch's ONNX export, as bytes."""
    # The fused attention of inference has no ONNX operator.
    torch.backends.mha.set_fastpath_enabled(False)
    file = io.BytesIO()
    with torch.no_grad():
        torch.onnx.export(Half(model) if half else model, inputs, file, dynamo=False, opset_version=17)
    return file.getvalue()


def recorded(folder, batch=1):
    """The inputs that io.npz has, repeated to the batch."""
    arrays = np.load(folder / "io.npz")
    inputs = [torch.from_numpy(arrays[key]) for key in sorted(arrays) if key.startswith("in")]
    return tuple(value.repeat(batch, *[1] * (value.dim() - 1)) for value in inputs)
