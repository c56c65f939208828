"""Which operators of Core ATen docs/OPERATORS.md does not list: those that torch.export's programs decompose to.

With PyTorch 2.11: python test/docs/core_aten.py
"""

import re
from pathlib import Path

import torch

documented = set(re.findall(r"`(\w+::[\w.]+)", (Path(__file__).parents[2] / "docs/OPERATORS.md").read_text()))
core = [
    f"aten::{name}" + ("" if overload == "default" else f".{overload}")
    for name in dir(torch.ops.aten)
    if isinstance(packet := getattr(torch.ops.aten, name), torch._ops.OpOverloadPacket)
    for overload in packet.overloads()
    if torch.Tag.core in getattr(packet, overload).tags
]
missing = [operator for operator in core if operator not in documented]
print(f"{len(core)} operators, {len(core) - len(missing)} of them listed; not:", *missing, sep="\n  ")
