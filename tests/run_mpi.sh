#!/usr/bin/env bash
# run_mpi.sh RANKS EXE [ARG...]: run one MPI test and see that nothing of it is left.
#   RANKS  a number, for mpirun -n; or the word local, for the program alone without mpirun
# Environment:
#   MRAY_TEST_TIMEOUT   seconds before the run is ended (default 100); shortly before, stacks are printed where gdb is present
#   MRAY_TEST_EXIT      expected exit code (default 0)
#   MRAY_TEST_GRACE     seconds left-over processes and files get to go (default 10)
#   MRAY_MPIRUN_ARGS    more arguments for mpirun
# Fails if the program fails, if a process of the run is alive afterwards (each carries MRAY_TEST_ID in its environment), or if
# something named *mray* that was not there before, and that no living process has mapped or open, stays in /dev/shm.
set -u

if [[ $# -lt 2 ]]; then
    sed -n '2,3p' "$0" >&2
    exit 2
fi
ranks=$1
shift
seconds=${MRAY_TEST_TIMEOUT:-100}
expected=${MRAY_TEST_EXIT:-0}
grace=${MRAY_TEST_GRACE:-10}
export MRAY_TEST_ID="mray-$$-$RANDOM$RANDOM"
this_id=$MRAY_TEST_ID
# This script and its helpers are not part of the run: only the command below gets the mark.
export -n MRAY_TEST_ID

if [[ $ranks == local ]]; then
    command=("$@")
else
    if [[ $(id -u) -eq 0 ]]; then
        export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    fi
    # shellcheck disable=SC2206
    command=(mpirun --oversubscribe -n "$ranks" ${MRAY_MPIRUN_ARGS:-} -x MRAY_TEST_ID "$@")
fi

processes() {
    local file pid
    for file in $(grep -lszxF "MRAY_TEST_ID=$this_id" /proc/[0-9]*/environ 2>/dev/null); do
        pid=${file//[!0-9]/}
        # A zombie has ended; it waits for its parent only.
        [[ $(awk '/^State:/ {print $2}' "/proc/$pid/status" 2>/dev/null) == [RSDTtI] ]] && echo "$pid"
    done
}

# shm_files PATTERN
shm_files() {
    find /dev/shm -maxdepth 1 -name "$1" -printf '%f\n' 2>/dev/null | sort
}

# Of the file names on stdin, those no living process has mapped or open.
orphans() {
    local name
    while read -r name; do
        [[ -e /dev/shm/$name ]] || continue
        grep -qsF "/dev/shm/$name" /proc/[0-9]*/maps && continue
        [[ -n $(find /proc/[0-9]*/fd -lname "/dev/shm/$name" -print -quit 2>/dev/null) ]] && continue
        echo "$name"
    done
}

stacks() {
    local pid
    command -v gdb >/dev/null || return 0
    for pid in $(processes); do
        echo "run_mpi: stacks of process $pid: $(tr '\0' ' ' <"/proc/$pid/cmdline" | cut -c1-200)"
        timeout 10 gdb -p "$pid" -batch -ex 'set pagination off' -ex 'thread apply all bt 20' 2>/dev/null |
            grep -E '^(#|Thread)' | head -60
    done
}

shm_before=$(shm_files '*mray*')
vader_before=$(shm_files 'vader_segment.*')

# The watcher reads a pipe that nobody writes: it ends when this script closes it, or prints stacks when its time is up.
exec {watch}> >(read -r -t $((seconds > 20 ? seconds - 10 : seconds)); [[ $? -gt 128 ]] && stacks)
watcher=$!
MRAY_TEST_ID=$this_id timeout -k 5 "$seconds" "${command[@]}" </dev/null {watch}>&-
code=$?
exec {watch}>&-
wait "$watcher"

failed=0
if [[ $code -eq 124 || $code -eq 137 ]] && [[ $code -ne $expected ]]; then
    echo "run_mpi: ended after $seconds seconds (or killed): exit code $code"
    failed=1
elif [[ $code -ne $expected ]]; then
    echo "run_mpi: exit code $code, expected $expected"
    failed=1
fi

left_processes=$(processes)
left_files=$(comm -13 <(echo "$shm_before") <(shm_files '*mray*') | orphans)
for ((i = 0; i < grace * 5; i++)); do
    [[ -z $left_processes && -z $left_files ]] && break
    sleep 0.2
    left_processes=$(processes)
    left_files=$(comm -12 <(echo "$left_files") <(shm_files '*mray*') | orphans)
done
if [[ -n $left_processes ]]; then
    echo "run_mpi: processes left over:"
    for pid in $left_processes; do
        echo "    $pid $(tr '\0' ' ' <"/proc/$pid/cmdline" | cut -c1-200)"
        kill -KILL "$pid"
    done
    failed=1
fi
if [[ -n $left_files ]]; then
    echo "run_mpi: left over in /dev/shm:" $left_files
    failed=1
fi
# A killed Open MPI job leaves its own vader segments, which is no fault of the test: they only must not fill /dev/shm.
for name in $(comm -13 <(echo "$vader_before") <(shm_files 'vader_segment.*') | orphans); do
    rm -f "/dev/shm/$name"
done
exit $failed
