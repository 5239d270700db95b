#!/usr/bin/env bash
# All benchmarks in turn: what small calls cost, then training steps against PyTorch's. Arguments go to run.lua, e.g.
#   scripts/bench/run.sh --torch PATH/torch_bench.py --python PATH/python --threads 2
set -euo pipefail
cd "$(dirname "$0")/../.."

neap=${NEAP_BUILD_DIR:-build}/neap
env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE "$neap" scripts/bench/micro.lua
[ $# -eq 0 ] || "$neap" scripts/bench/run.lua --neap "$neap" "$@"
