"""build_stub.py OUT.so: compiles stub_engine.cpp against the PyTorch of this Python. Does nothing when OUT.so is newer."""

import os
import subprocess
import sys

import torch

# Not through torch.utils.cpp_extension, which wants setuptools.
source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "stub_engine.cpp")
out = sys.argv[1]
if not os.path.exists(out) or os.path.getmtime(out) < os.path.getmtime(source):
    root = os.path.dirname(torch.__file__)
    include = os.path.join(root, "include")
    flags = ["-shared", "-fPIC", "-O0", "-w", "-std=c++17", f"-D_GLIBCXX_USE_CXX11_ABI={int(torch._C._GLIBCXX_USE_CXX11_ABI)}"]
    paths = [f"-I{include}", f"-I{include}/torch/csrc/api/include", f"-L{root}/lib", f"-Wl,-rpath,{root}/lib"]
    partial = f"{out}.{os.getpid()}"
    subprocess.run(["g++", *flags, *paths, source, "-o", partial, "-ltorch", "-ltorch_cpu", "-lc10"], check=True)
    os.replace(partial, out)
