#!/usr/bin/env bash
# not a test
# programs.sh: run the MPI programs of the build on hosts made of namespaces; to be sourced behind nshosts.sh.
#
#   run_on_hosts RANKS_PER_HOST MODE PROGRAM [ARG...]   one run; counts a failure if it fails, hangs, or leaves a process or a file
#   run_programs RANKS_PER_HOST MODE                    all of them
#   programs_verdict                                    exit with what was counted
: "${MRAY_BUILD_DIR:?is the folder of the build}"
n_failed=0
n_run=0

# Processes of this run that live.
run_processes() {
    local file
    for file in $(grep -lszxF "MRAY_TEST_ID=$run_id" /proc/[0-9]*/environ 2>/dev/null); do
        [[ $(awk '/^State:/ {print $2}' "${file%/environ}/status" 2>/dev/null) == [RSDTtI] ]] && basename "${file%/environ}"
    done
}

# Files of ours in the hosts' /dev/shm.
run_files() {
    local i
    for ((i = 1; i <= hosts_n; i++)); do hosts_in h$i find /dev/shm -maxdepth 1 -name '*mray*' -printf "h$i:%f\n"; done
}

run_on_hosts() {
    local ranks_per_host=$1 mode=$2 log seconds turn left name exports=(-x MRAY_TEST_ID -x MRAY_WORKERS)
    shift 2
    run_id=cluster-$$-$RANDOM$RANDOM
    log=$NSHOSTS_DIR/log
    seconds=$(date +%s.%N)
    for name in MRAY_BULK MRAY_LOG MRAY_TEST_SEED MRAY_TEST_STEPS MRAY_TEST_KILLS; do [[ -v $name ]] && exports+=(-x "$name"); done
    # Not exported here: only the run shall carry the mark.
    MRAY_TEST_ID=$run_id MRAY_WORKERS=$mode timeout -k 5 "${MRAY_TEST_TIMEOUT:-60}" bash -c 'source "$0"; hosts_n=$1; shift; hosts_mpirun "$@"' \
        "$hosts_script" "$hosts_n" --host "$(hosts_list "$ranks_per_host")" -np $((hosts_n * ranks_per_host)) \
        "${exports[@]}" "$@" </dev/null >"$log" 2>&1
    local code=$?
    for ((turn = 0; turn < 50; turn++)); do
        left=$(run_processes)$(run_files)
        [[ -z $left ]] && break
        sleep 0.1
    done
    n_run=$((n_run + 1))
    printf '%s, %d hosts of %d ranks, %s workers: ' "$(basename "$1")" "$hosts_n" "$ranks_per_host" "$mode"
    if [[ $code -ne 0 || -n $left ]]; then
        n_failed=$((n_failed + 1))
        echo "FAILED, exit code $code${left:+, left over: }" $left
        grep -E '\.c:[0-9]+: ' "$log" | head -20 | cut -c1-400 # what failed may stand far above the end
        tail -40 "$log" | cut -c1-400
        local pid
        for pid in $(run_processes); do kill -KILL "$pid"; done
    else
        printf '%.1f s\n' "$(echo "$(date +%s.%N) $seconds" | awk '{print $1 - $2}')"
    fi
}

run_programs() {
    local name
    for name in basic tasks actors bad_use reinit dag; do run_on_hosts "$1" "$2" "$MRAY_BUILD_DIR/tests/mpi/mpi_$name"; done
    [[ $2 == process ]] || return 0
    for name in crash kill; do run_on_hosts "$1" "$2" "$MRAY_BUILD_DIR/tests/mpi/mpi_$name"; done
}

programs_verdict() {
    echo "$n_run runs, $n_failed failed"
    [[ $n_failed -eq 0 ]]
    exit
}
