#!/usr/bin/env bash
# symbols.sh NM LIST: no layer's objects need a symbol that a later layer defines, however it was declared.
# LIST has lines "layer object", in the order of the layers.
set -euo pipefail
nm=$1 list=$2
while read -r layer object; do
    "$nm" -P "$object" | awk -v layer="$layer" -v object="${object##*/}" '{print layer, object, $1, $2}'
done <"$list" | awk '
    !($1 in order) {order[$1] = ++n_layers}
    $4 ~ /^[TDBRVWCS]$/ {if (!($3 in defined_in)) defined_in[$3] = $1}
    $4 == "U" {needs[++n] = $0}
    END {
        for (i = 1; i <= n; i++) {
            split(needs[i], f, " ")
            if ((f[3] in defined_in) && order[defined_in[f[3]]] > order[f[1]]) {
                print f[1] ": " f[2] " needs " f[3] " of the later layer " defined_in[f[3]]
                bad++
            }
        }
        print "lint.symbols: " (bad ? bad " errors" : n " uses, clean")
        exit bad ? 1 : 0
    }'
