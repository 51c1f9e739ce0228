#!/usr/bin/env bash
# setup.sh [demo|check|bench]: install what ./demo, ./check or bench/run needs and this system lacks, by apt-get, saying what and why; ask nothing.
# On systems that are not Debian or Ubuntu, and for users who may not install, name what is missing and stop with exit code 3.
set -euo pipefail
goal=${1:-check}

# package | who needs it | how to see that it is there | what for
packages='
gcc                | both  | cmd gcc         | compiles mray
libc6-dev          | both  | header stdio.h  | the headers of the C library
cmake              | both  | cmd cmake       | configures the build
ninja-build        | both  | cmd ninja       | runs the build
pkg-config         | both  | cmd pkg-config  | finds the libraries
openmpi-bin        | both  | cmd mpirun      | starts the ranks
libopenmpi-dev     | both  | cmd mpicc       | MPI, which mray stands on
libhwloc-dev       | both  | header hwloc.h  | tells cores, caches and NUMA nodes
libxxhash-dev      | both  | header xxhash.h | hashes of names, checksums of slots
libcmocka-dev      | both  | header cmocka.h | the unit tests
libparasail-dev    | both  | header parasail.h | the alignment example: Smith-Waterman
libpng-dev         | both  | header png.h    | the alignment example: its picture
zlib1g-dev         | both  | header zlib.h   | the alignment example: reads .gz
liblapacke-dev     | both  | header lapacke.h | the Cholesky example
libopenblas-dev    | both  | header cblas.h  | the Cholesky example
mmseqs2-examples   | both  | file /usr/share/doc/mmseqs2 | the alignment example: 500 queries, 20,000 Swiss-Prot proteins
clang              | check | cmd clang       | the second compiler mray is built with
iproute2           | check | cmd ip          | the cluster tests: hosts made of network namespaces
procps             | check | cmd ps          | the tests that look for left-over processes
gdb                | check | cmd gdb         | stacks of a test that hangs
libjansson-dev     | check bench | header jansson.h | the benchmarks: writes JSON
strace             | check | cmd strace      | the budget test: counts system calls
valgrind           | check | cmd valgrind    | the budget test: counts instructions
iproute2           | bench | cmd ip          | the benchmarks across hosts made of network namespaces
python3            | check bench | cmd python3     | bench/run and bench/report
python3-matplotlib | check bench | file /usr/lib/python3/dist-packages/matplotlib | draws the plots of docs/benchmarks.md
'

is_debian() {
    [[ -r /etc/os-release ]] && command -v apt-get >/dev/null && command -v dpkg-query >/dev/null &&
        (. /etc/os-release && [[ " ${ID:-} ${ID_LIKE:-} " == *" debian "* || " ${ID:-} ${ID_LIKE:-} " == *" ubuntu "* ]])
}

has_header() {
    local cc=cc
    command -v cc >/dev/null || cc=gcc
    if command -v "$cc" >/dev/null; then
        echo "#include <$1>" | "$cc" -E -x c - >/dev/null 2>&1
    else
        [[ -e /usr/include/$1 || -e /usr/local/include/$1 ]]
    fi
}

# is_there PACKAGE KIND NAME
is_there() {
    case $2 in
    cmd) command -v "$3" >/dev/null ;;
    header) has_header "$3" ;;
    file) [[ -e $3 ]] ;;
    esac && return 0
    is_debian && dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q '^install ok installed$'
}

missing=()
lines=''
while IFS='|' read -r package who test why; do
    read -r package <<<"$package"
    read -r who <<<"$who"
    read -r kind name <<<"$test"
    [[ -n $package ]] || continue
    [[ $who == both || " $who " == *" $goal "* ]] || continue
    is_there "$package" "$kind" "$name" && continue
    missing+=("$package")
    lines+=$(printf '  %-20s%s (%s %s)' "$package" "${why# }" "$kind" "$name")$'\n'
done <<<"$packages"

[[ ${#missing[@]} -eq 0 ]] && exit 0

if ! is_debian; then
    echo "mray needs, and this system lacks (names of Debian's packages; what was looked for in brackets):"
    echo -n "$lines"
    echo "Please install them by this system's own means and run this again."
    exit 3
fi

echo "mray needs these packages, which are missing:"
echo -n "$lines"
become=()
if [[ $(id -u) -ne 0 ]]; then
    if ! command -v sudo >/dev/null || ! sudo -n true 2>/dev/null; then
        how='' sudo='sudo '
        command -v sudo >/dev/null || how=' as root' sudo=''
        echo "This user may not install without a password. Please run this$how, then start again:"
        echo "    ${sudo}apt-get update && ${sudo}apt-get install -y --no-install-recommends ${missing[*]}"
        exit 3
    fi
    become=(sudo -n)
fi
echo "Installing them by apt-get ..."
apt() { "${become[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 "$@"; }
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { apt update && apt install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
    tail -n 30 "$log"
    echo "apt-get could not install: ${missing[*]}"
    exit 3
fi
echo "Installed."
