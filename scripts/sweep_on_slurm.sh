#!/usr/bin/env bash
# Run a sweep whose jobs run on Slurm, one GPU each. Settings are passed on. Start the script on the login node, in tmux
# or screen:
#   PARTITION=gpu scripts/sweep_on_slurm.sh experiment=freezing_depth
# If the script is started again, the sweep continues. CLUSTER=local runs the jobs on this machine, for a test.
set -euo pipefail
exec python -m landbridge -m hydra/launcher=slurm \
    "hydra.launcher.cluster=${CLUSTER:-slurm}" "hydra.launcher.partition=${PARTITION:-null}" \
    "hydra.launcher.gpus_per_node=${GPUS:-1}" hydra.launcher.timeout_min=240 "$@"
