"""Engines by TensorRT's own ONNX parser, from PyTorch's ONNX export of the same model files: what ours are compared with.

onnx_engines.py WORK MODEL...   makes WORK/onnx/NAME-bBATCH-PRECISION.engine
"""
import io, pathlib, sys, time, warnings
import numpy as np
import torch

try:
    import tensorrt as trt
except ImportError:
    import tensorrt_bindings as trt

warnings.filterwarnings("ignore")
work, names = pathlib.Path(sys.argv[1]), sys.argv[2:]
out = work / "onnx"
out.mkdir(exist_ok=True)
logger = trt.Logger(trt.Logger.ERROR)


def export(name, batch):
    recorded = np.load(work / "models" / name / "io.npz")
    inputs = [torch.from_numpy(recorded[key]) for key in sorted(k for k in recorded if k.startswith("in"))]
    inputs = tuple(value.repeat(batch, *[1] * (value.dim() - 1)) for value in inputs)
    model = torch.jit.load(work / "models" / name / "trace.ts").eval()
    file = io.BytesIO()
    torch.onnx.export(model, inputs, file, dynamo=False, opset_version=17)
    return file.getvalue()


def build(model, precision):
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(model):
        raise RuntimeError("; ".join(str(parser.get_error(i)) for i in range(parser.num_errors)))
    config = builder.create_builder_config()
    if precision == "fp16":
        config.set_flag(trt.BuilderFlag.FP16)
    return builder.build_serialized_network(network, config)


for name in names:
    for batch in (1, 32):
        try:
            model = export(name, batch)
        except Exception as error:
            print(f"{name} b{batch}: no ONNX export: {str(error).splitlines()[0]}", flush=True)
            continue
        for precision in ("fp32", "fp16"):
            path = out / f"{name}-b{batch}-{precision}.engine"
            if path.exists():
                continue
            start = time.perf_counter()
            engine = build(model, precision)
            if engine is None:
                print(f"{path.name}: not built", flush=True)
                continue
            path.write_bytes(bytes(engine))
            print(f"{path.name}: {time.perf_counter() - start:.1f} s", flush=True)
