"""Records what PyTorch computes for the cases of a family: cases/<family>.npz beside cases/<family>.yaml.

With PyTorch 2.11: python test/conversion/record.py <family>...
Inputs are seeded by the case's name, so other cases keep their numbers when one is added.
"""

import json
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import torch
import torchvision  # noqa: F401  registers torchvision's operators

FOLDER = Path(__file__).resolve().parent


def make_input(entry, seed):
    if isinstance(entry, list):
        entry = {"shape": entry}
    generator = torch.Generator().manual_seed(seed)
    shape = entry["shape"]
    dtype = getattr(torch, entry.get("dtype", "float32"))
    if "values" in entry:
        return torch.tensor([float(v) if isinstance(v, str) else v for v in entry["values"]], dtype=dtype).reshape(shape)
    if dtype == torch.bool:
        return torch.rand(shape, generator=generator) < 0.5
    if dtype.is_floating_point:
        if "range" in entry:
            low, high = entry["range"]
            return (torch.rand(shape, generator=generator) * (high - low) + low).to(dtype)
        return torch.randn(shape, generator=generator).to(dtype)
    low, high = entry.get("range", [0, 20] if dtype == torch.uint8 else [-9, 9])
    return torch.randint(low, high + 1, shape, generator=generator, dtype=dtype)


def flatten(value):
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, (tuple, list)):
        return [tensor for element in value for tensor in flatten(element)]
    if isinstance(value, dict):
        return [tensor for element in value.values() for tensor in flatten(element)]
    return []


def record(case):
    names = list(case["inputs"]) + list(case["constants"])
    entries = {**case["inputs"], **case["constants"]}
    inputs = [make_input(entries[name], zlib.crc32(f"{case['name']} {name}".encode())) for name in names]
    graph = torch._C.parse_ir(case["ir"])
    torch._C._jit_pass_lint(graph)
    function = torch._C._create_function_from_graph("forward", graph)
    torch.manual_seed(0)
    with torch.no_grad():
        outputs = flatten(function(*[tensor.clone() for tensor in inputs]))
    arrays = {f"{case['name']}/{name}": tensor for name, tensor in zip(names, inputs)}
    arrays.update({f"{case['name']}/out{i}": tensor for i, tensor in enumerate(outputs)})
    # numpy has no bfloat16.
    return {
        key: (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).contiguous().numpy()
        for key, tensor in arrays.items()
    }


def main():
    for family in sys.argv[1:]:
        command = ["node", "--import", "tsx", str(FOLDER / "cases.ts"), family]
        root = FOLDER.parent.parent
        cases = json.loads(subprocess.run(command, check=True, capture_output=True, cwd=root).stdout)
        arrays = {}
        failed = 0
        for case in cases:
            if "error" in case:
                continue
            try:
                arrays.update(record(case))
            except Exception as error:
                failed += 1
                print(f"{family}: {case['name']}: {str(error).strip().splitlines()[0] if str(error).strip() else error!r}")
        np.savez_compressed(FOLDER / "cases" / f"{family}.npz", **arrays)
        print(f"{family}: {len(cases) - failed} of {len(cases)} cases")
        if failed:
            sys.exit(1)


main()
