"""How many kernels TensorRT-RTX makes of PyTorch's ONNX export of a model, for sm_89: `kernels_onnx.py MODEL_FOLDER NAME`
prints a number for fp32 and one for fp16.

Needs PyTorch, torchvision, onnx, tensorrt_rtx_cu13_bindings, and the bindings' libraries in LD_LIBRARY_PATH.
"""
import pathlib, re, sys
import tensorrt_rtx_bindings as trt

tests = pathlib.Path(__file__).parent.parent
sys.path[:0] = [str(tests / "gpu"), str(tests / "zoo")]
from make_models import ZOO
from python_models import export, load, recorded

folder, name = pathlib.Path(sys.argv[1]), sys.argv[2]
make = lambda: ZOO[name]()[0].eval() if name in ZOO else load(folder, name)


class Kernels(trt.ILogger):
    """Keeps what the builder lists at the end of its log."""

    def log(self, severity, line):
        if line.startswith("Layers:"):
            self.count = len(re.findall("^Name: ", line, re.MULTILINE))
        elif severity <= trt.ILogger.ERROR:
            print(line, file=sys.stderr)


for half in (False, True):
    kernels = Kernels()
    builder = trt.Builder(kernels)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, kernels)
    if not parser.parse(export(make(), recorded(folder), half)):
        sys.exit(str(parser.get_error(0)))
    config = builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    config.num_compute_capabilities = 1
    config.set_compute_capability(trt.ComputeCapability.SM89, 0)
    builder.build_serialized_network(network, config)
    print(kernels.count)
