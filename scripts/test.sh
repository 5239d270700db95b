#!/usr/bin/env bash
# Builds Neap and runs its tests; prints what fails as it fails, and at the end one line that counts everything.
#   scripts/test.sh               all tests, then the quick specs again with other kernels and without a BLAS
#   scripts/test.sh --isa NAME    all tests with one instruction set: baseline, avx2 or avx512
#   scripts/test.sh --no-blas     all tests in a build without OpenBLAS
#   scripts/test.sh --torture     all tests in a build that fills freed memory with NaN and cuts work small
#   scripts/test.sh --sanitize    the quick tests under AddressSanitizer and UndefinedBehaviorSanitizer, and the
#                                 programs tests/c/thread*.c under ThreadSanitizer
#   scripts/test.sh ... FILE ...  only these specs (tests/*_spec.lua) and programs (tests/c/*.c, tests/host/*.c)
# A test program prints one line a test, "ok NAME", "not ok NAME" or "skip NAME", and exits 0 when none failed; specs are
# made to print the same by tests/support/handler.lua. A crash counts as a failure. Specs tagged #slow run in the full
# passes alone, those tagged #once in the first pass alone. Tests learn the mode from $NEAP_TEST_MODE.
set -uo pipefail
cd "$(dirname "$0")/.."

mode=plain
isa=
only=()
while [ $# -gt 0 ]; do
    case $1 in
        --sanitize | --torture | --no-blas) mode=${1#--} ;;
        --isa) isa=${2:?--isa needs a name}; shift ;;
        -*) echo "test.sh: unknown option $1" >&2; exit 2 ;;
        *) only+=("$1") ;;
    esac
    shift
done

base=${NEAP_BUILD_DIR:-build}
passed=0 failed=0 skipped=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

export NEAP_TEST_MODE=$mode
if [ -z "${NEAP_DATA:-}" ] && [ -d ../shared/data ]; then
    NEAP_DATA=$(cd ../shared/data && pwd)
    export NEAP_DATA
fi

# --- Counting ---

# Runs one test program, adds up its lines, prints its failures.   run LABEL COMMAND...
run() {
    local label=$1 status=0 start=$SECONDS ok bad skip
    shift
    timeout -k 10 "${NEAP_TEST_TIMEOUT:-900}" "$@" >"$log" 2>&1 </dev/null || status=$?
    ok=$(grep -c '^ok ' "$log")
    bad=$(grep -c '^not ok ' "$log")
    skip=$(grep -c '^skip ' "$log")
    # A failure's details are the lines from its "not ok" to the next test's line.
    awk '/^not ok /{show=1} /^(ok|skip) /{show=0} show' "$log"
    if [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then
        bad=1
        echo "not ok $label: ended with status $status$([ "$status" -eq 124 ] && echo ' (too slow)'); its last lines:"
        tail -n 40 "$log" | sed 's/^/#   /'
    elif [ "$status" -eq 0 ] && [ "$bad" -gt 0 ]; then
        echo "# $label has failures and yet ended with status 0"
    fi
    [ $((ok + bad + skip)) -eq 0 ] || printf '%-56s %5d passed %s%s%s\n' "$label" "$ok" \
        "$([ "$bad" -gt 0 ] && echo " $bad FAILED ")" "$([ "$skip" -gt 0 ] && echo " $skip skipped ")" \
        "$([ $((SECONDS - start)) -ge 5 ] && echo " $((SECONDS - start)) s")"
    passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + skip))
}

finish() {
    echo "$passed passed, $failed failed, $skipped skipped"
    [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
    exit
}

# What could not be built cannot be tested: it is one failure.
build() {
    NEAP_BUILD_DIR=$1 scripts/build.sh -DNEAP_WERROR=ON "${@:2}" && return
    failed=$((failed + 1))
    finish
}

# wanted FILE: is it among those that were asked for?
wanted() {
    [ ${#only[@]} -eq 0 ] && return
    local file
    for file in "${only[@]}"; do
        [ "$file" -ef "$1" ] && return
    done
    return 1
}

# --- The kinds of tests ---

# programs BUILD FOLDER PATTERN [COMMAND-PREFIX...]
programs() {
    local build=$1 folder=$2 pattern=$3 source program
    shift 3
    for source in tests/"$folder"/$pattern.c; do
        [ -e "$source" ] && wanted "$source" || continue
        program=$(basename "$source" .c)
        if [ "$folder" = fuzz ]; then
            run "$source" "$@" "$build/tests/fuzz_$program" "tests/fuzz/seeds/$program"
        else
            run "$source" "$@" "$build/tests/test_${folder}_$program"
        fi
    done
}

# specs BUILD LABEL EXCLUDED-TAGS [NAME=VALUE...]: with the stock interpreter and the module of the build, or, where
# the module cannot be loaded into it (sanitizers), with the program, which takes the same options.
specs() {
    local build=$1 label=$2 exclude=$3 spec lua=(lua5.4) busted
    shift 3
    busted=$(command -v busted)
    [ "$mode" = sanitize ] && lua=("$build/neap")
    for spec in tests/tiny_spec.lua $(ls tests/*_spec.lua 2>/dev/null | grep -v '^tests/tiny_spec'); do
        [ -e "$spec" ] && wanted "$spec" || continue
        run "$spec$label" env NEAP_BUILD_DIR="$build" LUA_PATH="lua/?.lua;lua/?/init.lua;tests/?.lua;;" \
            LUA_CPATH="$build/lua/?.so;;" "$@" \
            "${lua[@]}" "$busted" --cpath="$build/lua/?.so" --output=tests/support/handler.lua ${exclude:+--exclude-tags="$exclude"} "$spec"
    done
}

has() { [ "$(uname -m)" != x86_64 ] || grep -qw "$1" /proc/cpuinfo; }

# --- The modes ---

scripts/setup.sh || exit 1

case $mode in
    plain | torture | no-blas)
        options=()
        [ "$mode" = torture ] && options=(-DNEAP_TORTURE=ON)
        [ "$mode" = no-blas ] && options=(-DNEAP_BLAS=OFF)
        dir=$base
        [ "$mode" = plain ] || dir=$base-$mode
        [ -n "$isa" ] && export NEAP_ISA=$isa
        build "$dir" "${options[@]}"
        programs "$dir" c '*'
        programs "$dir" kernels '*'
        programs "$dir" fuzz '*'
        programs "$dir" host '*'
        if [ "$mode" = plain ]; then
            specs "$dir" "" ""
            [ ${#only[@]} -eq 0 ] && run tests/install/check.sh bash tests/install/check.sh "$dir"
        else
            specs "$dir" "" once
        fi
        if [ "$mode" = plain ] && [ -z "$isa" ]; then
            specs "$dir" " (no BLAS)" slow,once NEAP_BLAS=none
            specs "$dir" " (baseline)" slow,once NEAP_ISA=baseline
            has avx512f && has avx2 && specs "$dir" " (avx2)" slow,once NEAP_ISA=avx2
        fi
        ;;
    sanitize)
        export ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=0:allocator_may_return_null=1
        export UBSAN_OPTIONS=print_stacktrace=1
        export LSAN_OPTIONS=suppressions=$PWD/tests/support/lsan.supp:print_suppressions=0
        build "$base-asan" -DNEAP_SANITIZE=address,undefined
        programs "$base-asan" c '*'
        programs "$base-asan" fuzz '*'
        programs "$base-asan" host '*'
        specs "$base-asan" "" slow,once
        if compgen -G 'tests/c/thread*.c' >/dev/null; then
            # ThreadSanitizer needs the address space as it expects it: no randomisation.
            export TSAN_OPTIONS=halt_on_error=0:exitcode=66
            build "$base-tsan" -DNEAP_SANITIZE=thread -DNEAP_LUA=OFF
            programs "$base-tsan" c 'thread*' setarch "$(uname -m)" -R
        fi
        ;;
esac
finish
