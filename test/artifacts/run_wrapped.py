"""run_wrapped.py STUB.so JOBS.json: runs wrapped modules and their originals on the same inputs.

JOBS.json is a list of {"module": path, "original": path or null, "method": name, "inputs": npz, "outputs": npz or null}.
Prints as JSON, for each, the structure of the result and the largest error relative to 1 + max|reference|."""

import json
import sys

import numpy as np
import torch

torch.ops.load_library(sys.argv[1])

# The user's operator in the fixtures.
LIBRARY = torch.library.Library("my_ops", "DEF")
LIBRARY.define("scale(Tensor x, *, float factor=1.0) -> Tensor")
LIBRARY.impl("scale", lambda x, factor=1.0: x * factor, "CPU")


def tensors(npz, prefix):
    arrays = np.load(npz)
    return [torch.from_numpy(arrays[f"{prefix}{i}"]) for i in range(sum(k.startswith(prefix) for k in arrays))]


def shape_of(value):
    """The result's form with tensors as their dtypes."""
    if isinstance(value, torch.Tensor):
        return str(value.dtype)
    if isinstance(value, (list, tuple)):
        return [type(value).__name__ if type(value) in (list, tuple) else "NamedTuple:" + ",".join(value._fields), *map(shape_of, value)]
    if isinstance(value, dict):
        return {str(key): shape_of(item) for key, item in value.items()}
    return value


def flat(value):
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [t for item in value for t in flat(item)] if isinstance(value, (list, tuple)) else []


def arguments(names, given):
    """Nested lists of positions, as [0, ["tuple", 1, 2]]."""
    if isinstance(names, int):
        return given[names]
    kind, *rest = names
    items = [arguments(item, given) for item in rest]
    return tuple(items) if kind == "tuple" else items


results = []
for job in json.load(open(sys.argv[2])):
    given = tensors(job["inputs"], "in")
    names = job.get("arguments") or list(range(len(given)))
    args = [arguments(name, given) for name in names]
    try:
        with torch.no_grad():
            wrapped = torch.jit.load(job["module"], map_location="cpu")
            result = getattr(wrapped, job["method"])(*args)
            again = getattr(wrapped, job["method"])(*args)
            if job.get("original"):
                want = getattr(torch.jit.load(job["original"], map_location="cpu"), job["method"])(*args)
            else:
                want = tensors(job["outputs"], "out")
    except Exception as error:
        results.append({"error": str(error)[-3000:]})
        continue
    errors = [
        ((a.double() - b.double()).abs().max() / (1 + b.double().abs().max())).item() if a.numel() else 0.0
        for a, b in zip(flat(result), flat(want))
    ]
    results.append(
        {
            "structure": shape_of(result),
            "expected": shape_of(want) if job.get("original") else None,
            "sizes": [list(a.shape) == list(b.shape) for a, b in zip(flat(result), flat(want))],
            "count": [len(flat(result)), len(flat(want))],
            "error": None,
            "worst": max(errors, default=0.0),
            "repeatable": all(torch.equal(a, b) for a, b in zip(flat(result), flat(again))),
            "type": wrapped._c._type().qualified_name() if hasattr(wrapped._c._type(), "qualified_name") else str(wrapped._c._type()),
            "training": wrapped.training,
        }
    )
print(json.dumps(results))
