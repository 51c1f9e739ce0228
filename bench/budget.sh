#!/usr/bin/env bash
# budget.sh instructions|syscalls PROGRAM BUDGET: is a task within its budget? PROGRAM is mray-bench, BUDGET bench/budget.txt.
# Fails if a count is more than 10% above its line. Exit code 77 with a reason where counting is not possible here.
#
# instructions  callgrind's counts of the four phases of `--probe budget`, a task: submit, run, get, release
# syscalls      strace's count for 100,000 tasks: of the phases, and of driver and worker process side by side; less a run without them.
#               The least of three tries, since a busy machine adds some sleeps
set -euo pipefail
what=$1 program=$2 budget=$3
n_tasks=100000
failed=0

skip() {
    echo "skipped: $1"
    exit 77
}

# judge NAME MEASURED: against the line NAME of the budget
judge() {
    local limit
    limit=$(awk -v name="$1" '$1 == name {print $2}' "$budget")
    [[ -n $limit ]] || { echo "$budget has no line $1"; exit 1; }
    printf '%-22s %8s of %s\n' "$1" "$2" "$limit"
    if awk -v x="$2" -v limit="$limit" 'BEGIN {exit !(x > 1.1 * limit)}'; then
        echo "$1: more than 10% above its budget; find out why, or say in the commit why $budget has to change"
        failed=1
    elif [[ $1 == instructions_* ]] && awk -v x="$2" -v limit="$limit" 'BEGIN {exit !(x < 0.8 * limit)}'; then
        echo "$1: much less than its budget; lower it in $budget, so that the gain stays"
    fi
}

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# Launchers' variables would make it a rank of their job.
unset "${!OMPI_COMM_WORLD_@}" "${!PMIX_@}" "${!PMI_@}"

instructions() {
    command -v valgrind >/dev/null || skip "valgrind is not installed (Debian: valgrind)"
    (cd "$folder" && valgrind --tool=callgrind --callgrind-out-file=counts "$program" --probe budget) >"$folder/log" 2>&1 ||
        { tail -n 20 "$folder/log"; exit 1; }
    grep -qx right "$folder/log" || { cat "$folder/log"; exit 1; }
    local phase i=4 sum=0 count
    # Dumps 1 to 4 are of the warm-up.
    for phase in submit run get release; do
        i=$((i + 1))
        [[ -r $folder/counts.$i ]] || skip "mray-bench was built without valgrind/callgrind.h (Debian: valgrind): no phases"
        grep -q "Client Request: $phase" "$folder/counts.$i" || { echo "dump $i is not of $phase"; exit 1; }
        count=$(awk -v n=$n_tasks '$1 == "totals:" {printf "%.0f", $2 / n}' "$folder/counts.$i")
        judge "instructions_$phase" "$count"
        sum=$((sum + count))
    done
    judge instructions_task "$sum"
}

# calls PROBE: system calls of all its threads and processes
calls() {
    strace -f -c -o "$folder/calls" "$program" --probe "$1" >"$folder/log" 2>&1 || { tail -n 20 "$folder/log" >&2; return 1; }
    grep -qx right "$folder/log" || { cat "$folder/log" >&2; return 1; }
    awk '$NF == "total" {print $4}' "$folder/calls"
}

# least PROBE: the least difference of three, 0 at least
least() {
    local try some none least=''
    for try in 1 2 3; do
        some=$(calls "$1") && none=$(calls "$1_none") || return 1
        [[ $some -gt 0 && $none -gt 0 ]] || return 1
        [[ -z $least || $((some - none)) -lt $least ]] && least=$((some - none))
    done
    echo $((least > 0 ? least : 0))
}

syscalls() {
    command -v strace >/dev/null || skip "strace is not installed (Debian: strace)"
    strace -f -o /dev/null true 2>/dev/null || skip "processes may not be traced here (ptrace)"
    local count
    count=$(least budget) || exit 1
    judge syscalls_phases "$count"
    count=$(least async) || exit 1
    judge syscalls_async "$count"
}

case $what in
instructions | syscalls) "$what" ;;
*) skip "no such count: $what" ;;
esac
exit $failed
