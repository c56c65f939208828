"""Latency of the same models in PyTorch: eager (the loaded trace, unoptimised) and torch.compile, medians of CUDA events.

torch_latency.py WORK OUT.json MODEL...
"""
import json, pathlib, statistics, sys, warnings
import numpy as np
import torch
import torchvision

warnings.filterwarnings("ignore")
sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "zoo"))
work, out, names = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3:]


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


def on_gpu(model):
    """A trace holds the devices of its making: what it creates on the CPU is to be created on the GPU."""
    for module in model.modules():
        if not module._c._has_method("forward"):
            continue
        for node in module.graph.findAllNodes("prim::Constant", True):
            if str(node.output().type()) == "Device":
                node.s_("value", "cuda:0")
    return model


rows = []
for name in names:
    recorded = np.load(work / "models" / name / "io.npz")
    keys = sorted(key for key in recorded if key.startswith("in"))
    for batch in (1, 32):
        for precision in ("fp32", "fp16"):
            inputs = [torch.from_numpy(recorded[key]) for key in keys]
            inputs = [value.repeat(batch, *[1] * (value.dim() - 1)).cuda() for value in inputs]
            row = {"name": name, "batch": batch, "precision": precision, "eager": None, "compile": None}
            makers = {**vars(torchvision.models)}
            try:
                with torch.no_grad():
                    if name in makers:
                        model = makers[name](weights=None).eval().cuda()
                    else:
                        model = on_gpu(torch.jit.load(work / "models" / name / "trace.ts").eval().cuda())
                    if precision == "fp16":
                        model = model.half()
                        inputs = [value.half() if value.is_floating_point() else value for value in inputs]
                    row["eager"] = median_ms(lambda: model(*inputs))
                    if name in makers:
                        compiled = torch.compile(model, mode="reduce-overhead")
                        row["compile"] = median_ms(lambda: compiled(*inputs))
            except Exception as error:
                row["error"] = str(error).splitlines()[0][:200]
            rows.append(row)
            print(row, flush=True)
            pathlib.Path(out).write_text(json.dumps(rows, indent=1))
