#!/usr/bin/env bash
# Builds Neap into build/ (or $NEAP_BUILD_DIR) and says where things lie. Silent unless it fails.
#   scripts/build.sh [-DNEAP_PNG=OFF ...]      arguments go to cmake; the options stand at the top of CMakeLists.txt
set -euo pipefail
cd "$(dirname "$0")/.."

build=${NEAP_BUILD_DIR:-build}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

quietly() {
    if ! "$@" >"$log" 2>&1 </dev/null; then
        cat "$log" >&2
        echo "build: failed: $*" >&2
        exit 1
    fi
}

quietly cmake -S . -B "$build" "$@"
quietly cmake --build "$build" --parallel "$(nproc)"

echo "built in $build/: neap (the program), lua/neap.so (the Lua module), libneap.a and libneap.so, include/"
