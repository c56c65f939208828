"""Latency of the same models in PyTorch, as Python with the weights of their traces: eager and torch.compile, medians of
CUDA event times.

torch_latency.py WORK OUT.json MODEL...
"""
import json, pathlib, statistics, sys, warnings
import numpy as np
import torch
from python_models import load

warnings.filterwarnings("ignore")
work, out, names = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3:]


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
    model = load(work / "models" / name, name).cuda()
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
