"""Latency of the same models in PyTorch, as Python with the weights of their traces: eager and torch.compile, medians of
CUDA event times.

torch_latency.py WORK OUT.json MODEL...
"""
import json, pathlib, statistics, sys, warnings
import numpy as np
import torch
import torchvision

warnings.filterwarnings("ignore")
work, out, names = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3:]


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
        self.m = BertModel(BertConfig(**sizes))

    def forward(self, ids, mask):
        return self.m(ids, attention_mask=mask)[0]


def load(name):
    own = {"lenet": LeNet, "bert_tiny": BertTiny}
    model = own[name]() if name in own else getattr(torchvision.models, name)(weights=None)
    traced = torch.jit.load(work / "models" / name / "trace.ts", map_location="cpu")
    # Buffers of position numbers are kept by some releases of transformers only.
    left = model.load_state_dict(traced.state_dict(), strict=False)
    assert all("embeddings" in key for key in (*left.missing_keys, *left.unexpected_keys)), left
    return model.eval().cuda()


def median_ms(run):
    for _ in range(20):
        run()
    times = []
    for _ in range(100):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        run()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end))
    return statistics.median(times)


def measure(name, batch, precision):
    recorded = np.load(work / "models" / name / "io.npz")
    inputs = [torch.from_numpy(recorded[key]) for key in sorted(recorded) if key.startswith("in")]
    inputs = [value.repeat(batch, *[1] * (value.dim() - 1)).cuda() for value in inputs]
    model = load(name)
    if precision == "fp16":
        model = model.half()
        inputs = [value.half() if value.is_floating_point() else value for value in inputs]
    row = {"name": name, "batch": batch, "precision": precision}
    row["error"] = (model(*inputs)[:1].cpu().float() - torch.from_numpy(recorded["out0"])).abs().max().item()
    row["eager"] = median_ms(lambda: model(*inputs))
    # Each shape compiled for itself, as an engine is.
    torch._dynamo.reset()
    compiled = torch.compile(model, mode="reduce-overhead", dynamic=False)
    row["compile"] = median_ms(lambda: compiled(*inputs))
    return row


rows = []
for name in names:
    for batch in (1, 32):
        for precision in ("fp32", "fp16"):
            try:
                with torch.no_grad():
                    rows.append(measure(name, batch, precision))
            except Exception as error:
                rows.append({"name": name, "batch": batch, "precision": precision, "failed": str(error).splitlines()[0][:200]})
            print(rows[-1], flush=True)
            out.write_text(json.dumps(rows, indent=1))
