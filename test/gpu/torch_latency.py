"""Latency of the same models in PyTorch, as Python with the weights of their traces: eager and torch.compile, medians of
CUDA event times.

torch_latency.py WORK OUT.json MODEL...
torch_latency.py WORK --compile MODEL...   only runs them, a process for each model, so that what the compiler keeps on disk is there
"""
import json, multiprocessing, pathlib, statistics, sys
import numpy as np
import torch
from python_models import load, recorded

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


def prepared(name, batch, precision):
    """The model on the GPU, and its inputs."""
    folder = work / "models" / name
    model, inputs = load(folder, name).cuda(), [value.cuda() for value in recorded(folder, batch)]
    if precision == "fp16":
        model = model.half()
        inputs = [value.half() if value.is_floating_point() else value for value in inputs]
    return model, inputs


def compiled(model):
    """For one shape, as an engine is."""
    torch._dynamo.reset()
    return torch.compile(model, mode="reduce-overhead", dynamic=False)


def measure(name, batch, precision):
    model, inputs = prepared(name, batch, precision)
    row = {"name": name, "batch": batch, "precision": precision}
    output = torch.from_numpy(np.load(work / "models" / name / "io.npz")["out0"])
    row["error"] = (model(*inputs)[:1].cpu().float() - output).abs().max().item()
    row["eager"] = median_ms(lambda: model(*inputs))
    optimized = compiled(model)
    row["compile"] = median_ms(lambda: optimized(*inputs))
    return row


def each(name, do):
    """What `do` makes of every batch and precision of a model."""
    for batch in (1, 32):
        for precision in ("fp32", "fp16"):
            try:
                with torch.no_grad():
                    row = do(name, batch, precision)
            except Exception as error:
                row = {"name": name, "batch": batch, "precision": precision, "failed": str(error).splitlines()[0][:200]}
            print(row, flush=True)
            yield row


def compile_only(name):
    def run(*which):
        model, inputs = prepared(*which)
        compiled(model)(*inputs)
        return which

    list(each(name, run))


if __name__ == "__main__" and out == "--compile":
    processes = [multiprocessing.get_context("spawn").Process(target=compile_only, args=(name,)) for name in names]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
elif __name__ == "__main__":
    rows = []
    for name in names:
        for row in each(name, measure):
            rows.append(row)
            pathlib.Path(out).write_text(json.dumps(rows, indent=1))
