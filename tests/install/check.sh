#!/usr/bin/env bash
# Installs a build into an empty folder and uses it from outside of the tree in every way that it promises: pkg-config,
# the CMake package, the program, stock Lua with and without the Lua files, a host with its own Lua state.
#   tests/install/check.sh BUILD     prints one line a test, "ok NAME" or "not ok NAME"
set -uo pipefail
cd "$(dirname "$0")/../.."

build=$(cd "${1:-build}" && pwd)
here=$PWD/tests/install
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
prefix=$root/prefix
mkdir "$root/work"
cd "$root/work" || exit 1
failed=0

# test NAME COMMAND...: passes when the command ends with status 0.
test_that() {
    local name=$1
    shift
    if "$@" >"$root/log" 2>&1 </dev/null; then
        echo "ok install: $name"
    else
        failed=1
        echo "not ok install: $name"
        sed 's/^/#   /' "$root/log"
    fi
}

test_that "cmake --install" cmake --install "$build" --prefix "$prefix"
[ $failed -eq 0 ] || exit 1

libdir=$(dirname "$(find "$prefix" -name libneap.a)")
export PKG_CONFIG_PATH=$libdir/pkgconfig
unset LUA_PATH LUA_CPATH LUA_PATH_5_4 LUA_CPATH_5_4 LUA_INIT
sum='assert(require "neap".tensor{1, 2, 3, 4}:sum():item() == 10)'

files() {
    local file
    for file in include/neap.h include/neap_lua.h bin/neap share/lua/5.4/neap/init.lua; do
        [ -e "$prefix/$file" ] || { echo "no $file"; return 1; }
    done
    [ -e "$libdir/lua/5.4/neap.so" ] && [ -e "$libdir/libneap.so" ]
}
shared() {
    cc -std=c11 -Wall -Wextra -Werror "$here/outside.c" -o shared $(pkg-config --cflags --libs neap) &&
        LD_LIBRARY_PATH=$libdir ./shared
}
static() {
    cc "$here/outside.c" -o static $(pkg-config --cflags neap) "$libdir/libneap.a" \
        $(pkg-config --static --libs-only-l neap | sed 's/-lneap\b//') && ./static
}
cxx() {
    printf '#include <neap.h>\nint main() { neap_close(neap_open(nullptr)); }\n' >outside.cc &&
        c++ -std=c++11 -Wall -Wextra outside.cc -o cxx $(pkg-config --cflags --libs neap) && LD_LIBRARY_PATH=$libdir ./cxx
}
host() {
    cc "$here/outside_host.c" -o host $(pkg-config --cflags --libs neap-lua) && LD_LIBRARY_PATH=$libdir ./host
}
package() {
    cmake -S "$here" -B package -DCMAKE_PREFIX_PATH="$prefix" && cmake --build package &&
        package/outside_shared && package/outside_static
}
no_blas_in_libneap() { ! readelf -d "$libdir/libneap.so" | grep -iE 'NEEDED.*(blas|lapack|lua)'; }
lua_files() {
    LUA_PATH="$prefix/share/lua/5.4/?.lua;$prefix/share/lua/5.4/?/init.lua" LUA_CPATH="$libdir/lua/5.4/?.so" lua5.4 -e "$sum"
}
lua_embedded() { LUA_PATH="" LUA_CPATH="$libdir/lua/5.4/?.so" lua5.4 -e "$sum"; }
program() { "$prefix/bin/neap" -e "$sum"; }

test_that "every file is where it belongs" files
test_that "pkg-config neap, shared" shared
test_that "pkg-config neap, static" static
test_that "neap.h is C++ too" cxx
test_that "find_package(neap)" package
test_that "libneap needs no BLAS and no Lua" no_blas_in_libneap
test_that "require in stock Lua" lua_files
test_that "require in stock Lua, the Lua files embedded" lua_embedded
test_that "the program" program
test_that "a host with its own Lua state" host
exit $failed
