"""Engines by TensorRT's own ONNX parser, from PyTorch's ONNX export of the same model files: what ours are compared with.

onnx_engines.py WORK MODEL...   makes WORK/onnx/NAME-bBATCH-PRECISION.engine

fp16 is the model in half precision between fp32 inputs and outputs, strongly typed: the same precision as ours. With
FLAG=1 also fp16-flag: the fp32 export, built with the FP16 flag, which lets TensorRT keep layers in fp32.
All builds begin with the timings of our builds, so that equal layers get equal kernels.
"""
import os, pathlib, sys, time
from python_models import export, load, recorded

try:
    import tensorrt as trt
except ImportError:
    import tensorrt_bindings as trt

work, names = pathlib.Path(sys.argv[1]), sys.argv[2:]
out = work / "onnx"
out.mkdir(exist_ok=True)
logger = trt.Logger(trt.Logger.ERROR)
builder = trt.Builder(logger)
timings = b"".join(path.read_bytes() for path in sorted(work.glob(".trtorch-build/timing/*.timing"))[:1])


def build(model, precision):
    global timings
    kind = trt.NetworkDefinitionCreationFlag
    flags = 1 << int(kind.STRONGLY_TYPED if precision == "fp16" else kind.EXPLICIT_BATCH)
    network = builder.create_network(flags)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(model):
        raise RuntimeError("; ".join(str(parser.get_error(i)) for i in range(parser.num_errors)))
    config = builder.create_builder_config()
    cache = config.create_timing_cache(timings)
    config.set_timing_cache(cache, False)
    if precision == "fp16-flag":
        config.set_flag(trt.BuilderFlag.FP16)
    engine = builder.build_serialized_network(network, config)
    timings = bytes(cache.serialize())
    return engine


for name in names:
    for batch in (1, 32):
        for precision in ("fp32", "fp16", *(["fp16-flag"] if os.environ.get("FLAG") == "1" else [])):
            path = out / f"{name}-b{batch}-{precision}.engine"
            if path.exists():
                continue
            start = time.perf_counter()
            try:
                folder = work / "models" / name
                engine = build(export(load(folder, name), recorded(folder, batch), precision == "fp16"), precision)
            except Exception as error:
                print(f"{path.name}: {(str(error).splitlines() or [type(error).__name__])[0][:300]}", flush=True)
                continue
            if engine is None:
                print(f"{path.name}: not built", flush=True)
                continue
            path.write_bytes(bytes(engine))
            print(f"{path.name}: {time.perf_counter() - start:.1f} s", flush=True)
