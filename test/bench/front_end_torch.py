"""The Python way to a network, for front-end.ts to compare with: load, freeze, ONNX export. Prints milliseconds."""
import io, json, sys, time, warnings
import torch

warnings.filterwarnings("ignore")
path, shape = sys.argv[1], json.loads(sys.argv[2])
times = []
for _ in range(int(sys.argv[3])):
    start = time.perf_counter()
    model = torch.jit.freeze(torch.jit.load(path).eval())
    torch.onnx.export(model, (torch.rand(*shape),), io.BytesIO(), dynamo=False)
    times.append((time.perf_counter() - start) * 1000)
print(min(times))
