#!/usr/bin/env bash
# A sweep whose jobs run on Slurm, one GPU each; settings are passed on. Start it on the login node, in tmux or screen:
#   PARTITION=gpu scripts/sweep_on_slurm.sh experiment=freezing_depth
# Started again, it goes on. CLUSTER=local tries it out on this machine.
set -euo pipefail
exec python -m landbridge -m hydra/launcher=slurm \
    "hydra.launcher.cluster=${CLUSTER:-slurm}" "hydra.launcher.partition=${PARTITION:-null}" \
    "hydra.launcher.gpus_per_node=${GPUS:-1}" hydra.launcher.timeout_min=240 "$@"
