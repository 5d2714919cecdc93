#!/usr/bin/env bash
# Compare strategies over six paired seeds, as one sweep. Further settings are passed on:
#   scripts/compare_seeds.sh source_only,dann source=mnist_5k target=uci_digits
set -euo pipefail
exec python -m landbridge -m "strategy=${1:-source_only,dann}" 'seed=range(6)' "${@:2}"
