#!/usr/bin/env bash
# The whole of Neap in one command: installs what is missing, builds, then trains a network to read digits, shows its
# accuracy and writes a picture of its predictions. Arguments go to the script, e.g. --data DIR for real MNIST.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh
scripts/build.sh
exec "${NEAP_BUILD_DIR:-build}/neap" scripts/examples/demo.lua "$@"
