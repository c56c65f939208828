"""How long each layer of an engine takes by TensorRT's profiler: medians of 200 executions, on inputs of ones.

layer_times.py ENGINE...

Launches are in these times: compare engines with each other, in one run, and not with what bench says.
"""
import collections, pathlib, statistics, sys
import torch

try:
    import tensorrt as trt
except ImportError:
    import tensorrt_bindings as trt

EXECUTIONS = 200
TYPES = {trt.int64: torch.int64, trt.int32: torch.int32, trt.float32: torch.float32, trt.float16: torch.float16, trt.bool: torch.bool}


class Profiler(trt.IProfiler):
    def __init__(self):
        trt.IProfiler.__init__(self)
        self.times = collections.defaultdict(list)

    def report_layer_time(self, name, ms):
        self.times[name].append(1000 * ms)


runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
for path in map(pathlib.Path, sys.argv[1:]):
    engine = runtime.deserialize_cuda_engine(path.read_bytes())
    context = engine.create_execution_context()
    names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
    bindings = {
        name: torch.ones(tuple(engine.get_tensor_shape(name)), dtype=TYPES[engine.get_tensor_dtype(name)], device="cuda")
        for name in names
    }
    for name, tensor in bindings.items():
        context.set_tensor_address(name, tensor.data_ptr())
    stream = torch.cuda.Stream()
    profiler = Profiler()
    for i in range(20 + EXECUTIONS):
        if i == 20:
            context.profiler = profiler
        context.execute_async_v3(stream.cuda_stream)
        stream.synchronize()
    medians = {name: statistics.median(times) for name, times in profiler.times.items()}
    print(f"{'/'.join(path.parts[-3:])}: {len(medians)} layers, {sum(medians.values()):.1f} us")
    for name, time in medians.items():
        print(f"{time:8.2f} us  {name}")
