#!/usr/bin/env bash
# headers.sh ROOT CC [FLAG...]: every header compiles alone, with its own and earlier layers in sight; public ones in strict C17.
# FLAG... is what MPI's header needs.
set -uo pipefail
root=$1 cc=$2
shift 2
cd "$root" || exit 2
strict=(-fsyntax-only -Wall -Wextra -Werror -x c -I include)
n=0 failed=0
try() {
    n=$((n + 1))
    printf '#include "%s"\n' "$PWD/$1" | "$cc" "${strict[@]}" "${@:2}" - || { echo "$1 does not compile alone"; failed=1; }
}
for header in include/mray/*.h; do
    [[ -e $header ]] || continue
    if [[ $header == */mpi.h ]]; then try "$header" -std=gnu17 "$@"; else try "$header" -std=c17; fi
done
quotes=()
for layer in base topo net gcs store sched exec obs api; do
    quotes+=(-iquote "src/$layer")
    for header in src/"$layer"/*.h; do
        [[ -e $header ]] || continue
        if [[ $layer == net ]]; then try "$header" -std=gnu17 -D_GNU_SOURCE "${quotes[@]}" "$@"
        else try "$header" -std=gnu17 -D_GNU_SOURCE "${quotes[@]}"; fi
    done
done
echo "lint.headers: $n headers, $([[ $failed -eq 0 ]] && echo clean || echo errors)"
exit $failed
