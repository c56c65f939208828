#!/usr/bin/env bash
#SBATCH --job-name=trtorch-build
#SBATCH --array=1-4
#SBATCH --output=trtorch-build-%A_%a.log
#SBATCH --requeue
# Asks the build to stop a minute before the time is up; the next run continues from the store.
#SBATCH --signal=B:TERM@60
# For `targets: [device]`:
##SBATCH --gres=gpu:1

# One task of the array builds one shard, into shards/<i>. Submit from the project's folder, which all nodes see: ./submit.sh [shards]
set -euo pipefail
cd "$SLURM_SUBMIT_DIR"

index=$((SLURM_ARRAY_TASK_ID - SLURM_ARRAY_TASK_MIN + 1))
export TRTORCH_BUILD_STORE=${TRTORCH_BUILD_STORE:-$PWD/.trtorch-store}
# The store is used where it is, and left out where it is not: a share that is not mounted must not become a local folder.
case $TRTORCH_BUILD_STORE in http*) ;; *) mkdir -p "$TRTORCH_BUILD_STORE" ;; esac

# Not through npx: exec makes the build the process that Slurm's signal goes to.
exec node_modules/.bin/trtorch-build build \
  --shard "$index/$SLURM_ARRAY_TASK_COUNT" \
  --concurrency "${SLURM_CPUS_ON_NODE:-1}" \
  -o "shards/$index" --reporter plain
