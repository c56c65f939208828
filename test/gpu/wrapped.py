"""Runs our wrapped modules through Torch-TensorRT's own runtime and compares them with the recorded outputs.

wrapped.py WORK RUNTIME.so MODEL...
"""
import ctypes, pathlib, sys
import numpy as np
import torch

work, runtime, names = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
for library in ("libnvinfer.so.10", "libnvinfer_plugin.so.10"):
    ctypes.CDLL(library, mode=ctypes.RTLD_GLOBAL)
torch.ops.load_library(runtime)
failed = False
for name in names:
    recorded = np.load(work / "models" / name / "io.npz")
    for batch in (1, 32):
        for precision, rtol in (("fp32", 2e-3), ("fp16", 2e-2)):
            path = work / "engines" / f"{name}-b{batch}" / f"{precision}-device" / "model.ts"
            if not path.exists():
                print(f"{name} b{batch} {precision}: no module")
                failed = True
                continue
            keys = sorted(key for key in recorded if key.startswith("in"))
            inputs = [torch.from_numpy(recorded[key]) for key in keys]
            inputs = [value.repeat(batch, *[1] * (value.dim() - 1)).cuda() for value in inputs]
            outputs = torch.jit.load(path)(*inputs)
            outputs = outputs if isinstance(outputs, (tuple, list)) else [outputs]
            for i, output in enumerate(outputs):
                want = torch.from_numpy(recorded[f"out{i}"])
                want = want.repeat(batch, *[1] * (want.dim() - 1))
                error = (output.cpu().float() - want.float()).abs().max().item()
                limit = rtol * (1 + want.abs().max().item())
                failed |= not error <= limit
                print(f"{name} b{batch} {precision} out{i} {tuple(output.shape)}: max error {error:.2e}, limit {limit:.2e}", flush=True)
sys.exit(failed)
