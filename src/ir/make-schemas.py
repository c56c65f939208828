"""Writes schema-table.ts: the operator schemas that a TorchScript archive can name, as PyTorch itself lists them.

    python make-schemas.py > schema-table.ts      # needs torch and torchvision

Lines stay in the order of PyTorch's operator table: overload resolution takes the first one that matches.
"""

import torch
import torchvision

NAMESPACES = {
    "aten", "prim", "quantized", "_quantized", "quantization", "sparse", "cuda", "mkl", "mkldnn", "mkldnn_prepacked",
    "prepacked", "torchvision",
}

# Torch-TensorRT's runtime, whose modules name it; it is not part of PyTorch.
OTHERS = [
    "tensorrt::execute_engine(Tensor[] input_tensors, __torch__.torch.classes.tensorrt.Engine engine) -> Tensor[]",
]

by_name = {}
for schema in torch._C._jit_get_all_schemas():
    if schema.name.split("::")[0] in NAMESPACES and not schema.name.startswith("aten::_test_"):
        by_name.setdefault(schema.name, []).append(str(schema))

lines = [line for name in sorted(by_name) for line in by_name[name]] + OTHERS
text = "\n".join(lines).replace("\\", "\\\\").replace("`", "\\`").replace("${", "\\${")

print(f"// Made by make-schemas.py from PyTorch {torch.__version__.split('+')[0]} and "
      f"torchvision {torchvision.__version__.split('+')[0]}; do not edit.")
print("export const SCHEMA_TABLE = `")
print(text)
print("`;")
