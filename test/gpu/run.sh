#!/usr/bin/env bash
# Everything that needs a GPU, in one run: engines built by our own runner and addon, verified, measured beside engines
# of TensorRT's ONNX parser and beside PyTorch, wrapped modules run by Torch-TensorRT's runtime, and a soak.
#
#   test/gpu/run.sh OUT STEP...     steps, all in this order by default:
#     unit      a build and executions through the library         layers   every kind of layer, described and built
#     models    the models, made or copied                         build    our engines and modules, by our runner
#     onnx      engines of TensorRT's ONNX parser                  measure  ours verified, and timed beside these
#     wrapped   modules in Torch-TensorRT's runtime
#     compile   the models by PyTorch's compiler, all at once       torch    PyTorch's own latency
#     features  bf16, int8, refit, profiles, parts in Torch, ...; verify, run and bench over them
#     soak      memory over loads and executions; kills
#     operators the recorded cases of the operators' tests, built and executed, as far as SECONDS_FOR_OPERATORS go
#   and when named, after build and onnx:
#     times     how long each layer of these engines takes         forms    other forms of the networks, built and timed
#
# Every step is run, whatever the ones before gave; the exit status is 1 where one failed.
#
# pack.sh makes what a machine without Node and npm needs.
#
# Environment:
#   NODE            Node's binary (default: node)
#   TENSORRT_ROOT   a folder with lib/ that holds libnvinfer.so.10, libnvinfer_plugin.so.10, libnvonnxparser.so.10
#   PYTHON          a Python with PyTorch and torchvision for CUDA, and TensorRT's bindings (default: python3)
#   LEAN            a libnvinfer_lean.so.10 of TENSORRT_ROOT's release: what a version-compatible engine is built and run with
#   TORCHTRT        Torch-TensorRT's libtorchtrt_runtime.so of the same release as PyTorch
#   FLAG            1: also ONNX engines with the FP16 flag, for which TensorRT times every layer in two precisions
#   MODELS          models to measure (default: lenet squeezenet1_1 bert_tiny mobilenet_v3_small resnet50 vit_b_16)
#   GPUS            the GPUs that the operators' PROCESSES share (default: 0, and 8 processes)
#   WORK            where models and engines go (default: OUT)
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
out=$(mkdir -p "$1" && cd "$1" && pwd)
shift
steps=${*:-unit layers models build onnx measure wrapped compile torch features soak operators}
NODE=${NODE:-node} PYTHON=${PYTHON:-python3} WORK=${WORK:-$out}
read -ra models <<<"${MODELS:-lenet squeezenet1_1 bert_tiny mobilenet_v3_small resnet50 vit_b_16}"
export LD_LIBRARY_PATH=${TENSORRT_ROOT:?names a folder with lib/libnvinfer.so.10}/lib${LEAN:+:$(dirname "$LEAN")}${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
mkdir -p "$WORK/models"
log=$out/run.log
failed=()

step() { # NAME COMMAND...
  local name=$1 start
  shift
  start=$(date +%s)
  echo "== $name" | tee -a "$log"
  "$@" 2>&1 | tee -a "$log"
  local status=${PIPESTATUS[0]}
  echo "== $name: exit $status, $(($(date +%s) - start)) s" | tee -a "$log"
  [ "$status" = 0 ] || failed+=("$name")
}

for name in $steps; do
  case $name in
    unit)
      step unit "$NODE" "$root/dist/test/gpu/smoke.js" "$root/test/fixtures/models" "$WORK/smoke" ;;
    layers)
      step layers "$NODE" "$root/dist/test/gpu/layers.js" "${SECONDS_FOR_LAYERS:-60}" ;;
    models)
      for model in lenet squeezenet1_1 bert_tiny; do cp -r "$root/test/fixtures/models/$model" "$WORK/models/" 2>/dev/null; done
      made=()
      for model in "${models[@]}"; do case $model in lenet | squeezenet1_1 | bert_tiny) ;; *) made+=("$model") ;; esac; done
      [ ${#made[@]} = 0 ] || step models "$PYTHON" "$root/test/zoo/make_models.py" "$WORK/models" "${made[@]}" --forms trace ;;
    build)
      "$NODE" "$root/dist/test/gpu/config.js" "$WORK" "${models[@]}" >"$WORK/gpu.yaml"
      # Workers find the libraries of TensorRT's kernels by themselves.
      step build env -u LD_LIBRARY_PATH "$NODE" "$root/bin/trtorch-build.js" build --config "$WORK/gpu.yaml" --on-failure continue ;;
    onnx)
      step onnx "$PYTHON" "$here/onnx_engines.py" "$WORK" "${models[@]}" ;;
    measure)
      step measure "$NODE" "$root/dist/test/gpu/measure.js" "$WORK" "$out/measure.json" "${models[@]}" ;;
    times)
      for model in "${models[@]}"; do
        step "times $model" "$PYTHON" "$here/layer_times.py" "$WORK/engines/$model"-b*/*-device/model.engine "$WORK/onnx/$model"-b*.engine
      done ;;
    forms)
      for model in "${models[@]}"; do step "forms $model" "$NODE" "$root/dist/test/gpu/forms.js" "$WORK" "$model"; done ;;
    wrapped)
      step wrapped "$PYTHON" "$here/wrapped.py" "$WORK" "$TORCHTRT" "${models[@]}" ;;
    features)
      mkdir -p "$WORK/features"
      cp "$here/features.yaml" "$WORK/features/"
      step quantized "$PYTHON" "$here/quantized.py" "$WORK/models/quantized"
      step features "$NODE" "$root/bin/trtorch-build.js" build --config "$WORK/features/features.yaml" --on-failure continue
      for job in "$WORK"/features/engines/*/*-device; do
        name=$(basename "$(dirname "$job")")
        # Nothing runs a plan without its weights, nor one engine of several parts.
        if [ ! -e "$job/model.engine" ] || [ "$name" = lenet-stripped ]; then continue; fi
        command=("$NODE" "$root/bin/trtorch-build.js")
        given=("$job/model.engine" --allow-host-code)
        if [ "$name" = lenet-lean ]; then
          [ -n "${LEAN:-}" ] || continue
          given+=(--library "$LEAN")
        fi
        golden=(--golden "$WORK/models/${name%%-*}/io.npz")
        if [ "$name" = lenet-profiles ]; then
          for profile in 0 1; do
            step "verify $name, profile $profile" "${command[@]}" verify "${given[@]}" --model "$WORK/models/lenet/trace.ts" --profile "$profile" --shape max
          done
        else
          step "verify $name" "${command[@]}" verify "${given[@]}" "${golden[@]}" --precision "$(basename "${job%-device}")"
        fi
        step "bench $name" "${command[@]}" bench "${given[@]}" --graph
      done
      step run "${command[@]}" run "${given[@]}" --seed 1 --output "$WORK/features/run.npz"
      step parts "$PYTHON" "$here/wrapped.py" "$WORK" "$TORCHTRT" --features ;;
    compile)
      step compile "$PYTHON" "$here/torch_latency.py" "$WORK" --compile "${models[@]}" ;;
    torch)
      step torch "$PYTHON" "$here/torch_latency.py" "$WORK" "$out/torch.json" "${models[@]}" ;;
    soak)
      step soak "$NODE" --expose-gc "$root/dist/test/gpu/soak.js" "$WORK" ;;
    operators)
      step operators "$NODE" "$root/dist/test/gpu/operators.js" "$out/operators.json" "${SECONDS_FOR_OPERATORS:-300}" "${PROCESSES:-8}" ;;
  esac
done

[ ${#failed[@]} = 0 ] && exit
printf '== failed: %s\n' "${failed[@]}" | tee -a "$log"
exit 1
