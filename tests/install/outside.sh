#!/usr/bin/env bash
# outside.sh CMAKE BUILD_DIR CC LIBDIR: install the build into a new folder, then build and run tests/install/outside against it by
# the CMake package and by pkg-config, with the shared and the static library.
set -euo pipefail
cmake=$1 build=$2 cc=$3 libdir=$4
source_dir=$(cd "$(dirname "$0")/outside" && pwd)
work=$build/outside
prefix=$work/prefix
rm -rf "$work"
mkdir -p "$work/pc"

"$cmake" --install "$build" --prefix "$prefix" >"$work/install.log"
if grep -rlF "$build" "$prefix/$libdir/pkgconfig" "$prefix/$libdir/cmake" "$prefix/include"; then
    echo "outside: the files above name the build directory"
    exit 1
fi

run() {
    local text
    text=$("$@")
    [[ $text == "mray says: success" ]] || { echo "outside: $* printed: $text"; exit 1; }
}
# Not by a pipe into grep -q: that ends at the first match, and the writer it cuts off fails the pipe.
uses_shared() { [[ $(ldd "$1") == *libmray.so* ]]; }

"$cmake" -S "$source_dir" -B "$work/cmake" -DCMAKE_C_COMPILER="$cc" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_BUILD_TYPE=Release \
    -DCMAKE_FIND_USE_PACKAGE_REGISTRY=OFF >"$work/configure.log"
"$cmake" --build "$work/cmake" >"$work/build.log"

export PKG_CONFIG_PATH=$prefix/$libdir/pkgconfig
export LD_LIBRARY_PATH=$prefix/$libdir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
# shellcheck disable=SC2046
"$cc" -std=c17 -Wall -Wextra -Werror -o "$work/pc/outside_shared" "$source_dir/main.c" $(pkg-config --cflags --libs mray)
# shellcheck disable=SC2046
"$cc" -std=c17 -Wall -Wextra -Werror -o "$work/pc/outside_static" "$source_dir/main.c" $(pkg-config --cflags mray) \
    $(pkg-config --static --libs mray | sed "s|-lmray|-l:libmray.a|")

for how in cmake pc; do
    run "$work/$how/outside_shared"
    run "$work/$how/outside_static"
    uses_shared "$work/$how/outside_shared" || { echo "outside: $how/outside_shared does not use libmray.so"; exit 1; }
    if uses_shared "$work/$how/outside_static"; then
        echo "outside: $how/outside_static uses libmray.so"
        exit 1
    fi
done
echo "outside: cmake and pkg-config, shared and static"
