#!/usr/bin/env bash
# Packs what run.sh needs for a GPU machine that has neither Node nor npm: OUT/app.tar.xz, the compiled project with its addon,
# production packages, test models and GPU tests; OUT/node.xz, this machine's Node.
#
#   npx tsc -p . && node bin/trtorch-build.js setup --flavour rtx trt10 && test/gpu/pack.sh OUT
#
# There: unpack both (python3 -m tarfile, python3's lzma), then NODE=.../node APP/test/gpu/run.sh RESULTS.
set -euo pipefail
out=$(mkdir -p "${1:?usage: pack.sh OUT}" && cd "$1" && pwd)
cd "$(dirname "$0")/../.."
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT

mkdir -p "$stage/dist/test" "$stage/native/build" "$stage/test/fixtures/models"
cp -r dist/src "$stage/dist/"
cp -r dist/test/gpu dist/test/network dist/test/conversion "$stage/dist/test/"
cp -r test/conversion/cases "$stage/dist/test/conversion/"
cp -r bin templates package.json "$stage/"
cp -rL native/build/Release native/build/setup.json "$stage/native/build/"
cp -r native/src native/CMakeLists.txt native/package.json "$stage/native/"
cp -r test/gpu test/zoo "$stage/test/"
cp -r test/fixtures/models/{lenet,squeezenet1_1,bert_tiny} "$stage/test/fixtures/models/"

# Nothing is compiled there: cmake-js and the headers stay. Of onnxruntime only what runs on the CPU comes along.
{ npm ls --omit=dev --all --parseable 2>/dev/null || true; } | grep -o 'node_modules/.*' | sort -u |
  grep -vE '/(cmake-js|node-api-headers|onnxruntime-node)(/|$)' >"$stage/packages"
for package in $(cat "$stage/packages") node_modules/onnxruntime-common; do
  mkdir -p "$stage/$(dirname "$package")"
  [ -e "$stage/$package" ] || cp -r "$package" "$stage/$package"
done
tar -cf - --exclude='*cuda*' --exclude='*tensorrt*' --exclude=darwin --exclude=win32 --exclude=arm64 node_modules/onnxruntime-node |
  tar -xf - -C "$stage"
find "$stage/node_modules" "$stage/dist" \( -name '*.d.ts' -o -name '*.map' -o -name '*.md' \) -delete
rm "$stage/packages"

tar -C "$stage" -cf - . | xz -T2 -6 >"$out/app.tar.xz"
xz -T2 -6 -c "$(command -v node)" >"$out/node.xz"
ls -l "$out"
