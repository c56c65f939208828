#!/usr/bin/env bash
# Installs the tools that test/pipelines checks with, for a Debian machine with Go, Node.js and Python:
#   bash test/pipelines/setup.sh [folder]     default: $TRTORCH_TEST_TOOLS, else trtorch-build-tools in the folder for temporary files
# What is there already is left alone. Tests look there by themselves, and skip with a word what they do not find.
set -euo pipefail
folder=${1:-${TRTORCH_TEST_TOOLS:-${TMPDIR:-/tmp}/trtorch-build-tools}}
mkdir -p "$folder/bin"
cd "$folder"

packages=()
for pair in slurmctld:slurm-wlm munged:munge shellcheck:shellcheck chromium:chromium; do
  PATH=$PATH:/usr/sbin command -v "${pair%%:*}" >/dev/null || packages+=("${pair##*:}")
done
if [ ${#packages[@]} -gt 0 ]; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"
fi

[ -x bin/actionlint ] || GOBIN=$PWD/bin go install github.com/rhysd/actionlint/cmd/actionlint@v1.7.12

if [ ! -f python/complete ]; then
  python3 -m venv python
  python/bin/pip install --quiet check-jsonschema==0.39.0 kubernetes-validate==1.37.0
  # Holds the message that Triton reads config.pbtxt into.
  python/bin/pip install --quiet 'tritonclient[grpc]==2.73.0'
  touch python/complete
fi
ln -sf ../python/bin/check-jsonschema ../python/bin/kubernetes-validate bin/

if [ ! -d node_modules/nx ] || [ ! -d node_modules/turbo ]; then
  [ -f package.json ] || echo '{ "private": true }' > package.json
  npm install --no-audit --no-fund --ignore-scripts turbo@2.11.11 nx@24.0.6
fi
