#!/usr/bin/env bash
# exports.sh NM SHARED STATIC: both libraries export mray_* and nothing else, and the same of it.
set -euo pipefail
nm=$1 shared=$2 static=$3
dynamic_names=$("$nm" -D --defined-only -P "$shared" | awk '$2 != "A" {print $1}' | sort)
static_names=$("$nm" -g --defined-only -P "$static" | awk 'NF > 1 {print $1}' | sort)
failed=0
if foreign=$(printf '%s\n%s\n' "$dynamic_names" "$static_names" | grep -v '^mray_' | grep .); then
    echo "exported, but not mray_*:" $foreign
    failed=1
fi
if ! difference=$(diff <(echo "$dynamic_names") <(echo "$static_names")); then
    echo "not the same in both libraries:"
    echo "$difference"
    failed=1
fi
echo "$(grep -c . <<<"$dynamic_names") names exported"
exit $failed
