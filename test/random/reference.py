"""What PyTorch computes for compositions: reference.py CASES.jsonl OUT

Each line is {"id", "ir", "seed", "inputs": [{"name", "shape", "dtype"}]}; OUT/<n>.npz holds inputs and outputs of a
hundred lines as id/name and id/out<i>, and id/error where PyTorch refuses.
"""
import json
import pathlib
import sys
import warnings

import numpy as np
import torch

CHUNK = 100


def make(entry, generator):
    shape, dtype = entry["shape"], entry["dtype"]
    if dtype == "bool":
        return torch.rand(shape, generator=generator) < 0.5
    if dtype == "float32":
        return torch.randn(shape, generator=generator)
    return torch.randint(-6, 7, shape, generator=generator, dtype=getattr(torch, dtype))


def compute(case):
    generator = torch.Generator().manual_seed(case["seed"])
    inputs = [make(entry, generator) for entry in case["inputs"]]
    arrays = {entry["name"]: tensor.numpy() for entry, tensor in zip(case["inputs"], inputs)}
    try:
        graph = torch._C.parse_ir(case["ir"])
        function = torch._C._create_function_from_graph("forward", graph)
        with torch.no_grad():
            outputs = function(*[tensor.clone() for tensor in inputs])
        arrays.update({f"out{i}": tensor.contiguous().numpy() for i, tensor in enumerate(outputs)})
    except Exception as error:
        lines = [line for line in str(error).splitlines() if "Error" in line] or [str(error)]
        arrays["error"] = np.frombuffer(lines[-1].encode()[:300] or b"?", dtype=np.uint8)
    return {f"{case['id']}/{name}": array for name, array in arrays.items()}


def main():
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    # Compositions run once: nothing is gained by specializing them.
    torch._C._jit_set_profiling_executor(False)
    out = pathlib.Path(sys.argv[2])
    cases = [json.loads(line) for line in open(sys.argv[1])]
    for start in range(0, len(cases), CHUNK):
        arrays = {}
        for case in cases[start : start + CHUNK]:
            arrays.update(compute(case))
        np.savez(out / f"{start // CHUNK}.npz", **arrays)


main()
