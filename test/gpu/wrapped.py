"""Runs our wrapped modules through Torch-TensorRT's own runtime and compares them with the recorded outputs.

wrapped.py WORK RUNTIME.so MODEL...    or --features, for the modules in WORK/features
"""
import ctypes, pathlib, sys
import numpy as np
import torch

work, runtime, names = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
for library in ("libnvinfer.so.10", "libnvinfer_plugin.so.10"):
    ctypes.CDLL(library, mode=ctypes.RTLD_GLOBAL)
torch.ops.load_library(runtime)


def check(label, path, recorded, batch, rtol):
    """True where the module's outputs are the recorded ones, both repeated to the batch."""
    if not path.exists():
        print(f"{label}: no module")
        return False
    repeat = lambda array: torch.from_numpy(array).repeat(batch, *[1] * (array.ndim - 1))
    inputs = [repeat(recorded[key]).cuda() for key in sorted(recorded) if key.startswith("in")]
    try:
        outputs = torch.jit.load(path)(*inputs)
    except RuntimeError as error:
        print(f"{label}: {str(error).strip().splitlines()[-1]}", flush=True)
        return False
    right = True
    for i, output in enumerate(outputs if isinstance(outputs, (tuple, list)) else [outputs]):
        want = repeat(recorded[f"out{i}"]).float()
        error = (output.cpu().float() - want).abs().max().item()
        limit = rtol * (1 + want.abs().max().item())
        right &= error <= limit
        print(f"{label} out{i} {tuple(output.shape)}: max error {error:.2e}, limit {limit:.2e}", flush=True)
    return right


results = []
if names == ["--features"]:
    for path in sorted((work / "features" / "engines").glob("*/*-device/model.ts")):
        name = path.parent.parent.name
        # Torch-TensorRT refits no plan without weights, and opens no lean runtime.
        if name not in ("lenet-stripped", "lenet-lean"):
            recorded = np.load(work / "models" / name.split("-")[0] / "io.npz")
            results.append(check(name, path, recorded, 1, 2e-2 if "bf16" in name else 2e-3))
else:
    for name in names:
        recorded = np.load(work / "models" / name / "io.npz")
        for batch in (1, 32):
            for precision, rtol in (("fp32", 2e-3), ("fp16", 2e-2)):
                path = work / "engines" / f"{name}-b{batch}" / f"{precision}-device" / "model.ts"
                results.append(check(f"{name} b{batch} {precision}", path, recorded, batch, rtol))
sys.exit(not all(results))
