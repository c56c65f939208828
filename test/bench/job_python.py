"""The Python way to a TensorRT-RTX engine, for job.ts to compare with: PyTorch, ONNX export, TensorRT-RTX's own ONNX parser and builder."""
import io, json, sys, warnings
import tensorrt_rtx_bindings as trt
import torch

warnings.filterwarnings("ignore")
path, shape, capability, engine = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3], sys.argv[4]
model = torch.jit.freeze(torch.jit.load(path).eval())
onnx = io.BytesIO()
torch.onnx.export(model, (torch.rand(*shape),), onnx, dynamo=False)

builder = trt.Builder(trt.Logger(trt.Logger.ERROR))
network = builder.create_network(0)
parser = trt.OnnxParser(network, builder.logger)
if not parser.parse(onnx.getvalue()):
    sys.exit("\n".join(str(parser.get_error(i)) for i in range(parser.num_errors)))
config = builder.create_builder_config()
config.num_compute_capabilities = 1
config.set_compute_capability(trt.ComputeCapability.__members__[capability], 0)
plan = builder.build_serialized_network(network, config)
with open(engine, "wb") as file:
    file.write(plan)
