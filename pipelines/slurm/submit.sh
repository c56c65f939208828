#!/usr/bin/env bash
# Submits the array and, after it, the merge: ./submit.sh [shards] [sbatch options...]. Prints the merge's job id: the run is over when that job is.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
shards=${1:-4}
shift || true

array=$(sbatch --parsable --array="1-$shards" "$@" "$here/build-array.sh")
# After any end of the shards: merge says which jobs failed, and keeps the others.
sbatch --parsable --job-name=trtorch-merge --dependency="afterany:${array%%;*}" --output="trtorch-merge-%j.log" \
  --wrap='exec node_modules/.bin/trtorch-build merge shards/* -o engines'
