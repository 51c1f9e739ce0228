#!/usr/bin/env bash
# Starts that cannot work end at once, with a sentence that says why: another program on one rank, memory that is not there, an MPI that
# allows too little. More ranks than cores work, and are warned of once.
set -u
: "${MRAY_BUILD_DIR:?is the folder of the build}"
a=$MRAY_BUILD_DIR/tests/misuse/misuse_a
b=$MRAY_BUILD_DIR/tests/misuse/misuse_b
[[ $(id -u) -eq 0 ]] && export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
n_failed=0
log=$(mktemp /tmp/mray-misuse-XXXXXX)
trap 'rm -f "$log"' EXIT

# expect NAME CODE PATTERN command...: exit code CODE (or any but 0, for "fail"), and a line that matches PATTERN.
expect() {
    local name=$1 want=$2 pattern=$3
    shift 3
    timeout -k 5 30 "$@" </dev/null >"$log" 2>&1
    local code=$?
    if [[ $code -eq 124 || $code -eq 137 ]]; then
        echo "$name: FAILED: it hangs"
    elif [[ $want == fail && $code -eq 0 || $want != fail && $code -ne $want ]]; then
        echo "$name: FAILED: exit code $code, expected $want"
    elif ! grep -qE -- "$pattern" "$log"; then
        echo "$name: FAILED: no line matches $pattern"
    elif grep -qE 'SIGSEGV|Segmentation|signal 11' "$log"; then
        echo "$name: FAILED: a crash"
    else
        echo "$name: passed"
        return
    fi
    tail -15 "$log" | cut -c1-300
    n_failed=$((n_failed + 1))
}

run="mpirun --oversubscribe"
expect "the same program twice" 0 '25 is the square' $run -n 2 "$a"
expect "one function more on rank 1" fail "extra_function.*rank 1" $run -n 1 "$a" : -n 1 "$b"
expect "one function more on rank 0" fail "extra_function.*rank 0" $run -n 1 "$b" : -n 1 "$a"
expect "another program on rank 2 of 3" fail "extra_function.*rank 2" $run -n 2 "$a" : -n 1 "$b"
MRAY_STORE_BYTES=32T expect "a store larger than memory, alone" 3 'M(iB|B|) .*(available|are there)' "$a"
MRAY_STORE_BYTES=32T expect "a store larger than memory, two ranks" fail 'MiB are available' $run -n 2 "$a"
MRAY_STORE_BYTES=1M expect "a tiny store still works" 0 '25 is the square' "$a"
MRAY_NUM_WORKERS=many expect "a setting that is no number" 3 'MRAY_NUM_WORKERS=many' "$a"
expect "MPI was started by the program" fail 'mray_init_comm|MPI_Init' $run -n 2 "$a" taken
expect "a communicator is lent" 0 '25 is the square' $run -n 2 "$a" comm
expect "MPI allows no threads at all" fail 'MPI_THREAD_' $run -n 2 "$a" single
expect "no communicator" fail 'MPI_COMM_NULL' $run -n 2 "$a" null

# More ranks than cores: works, and one line says so.
ranks=$(($(nproc) * 2 + 1))
[[ $ranks -le 9 ]] || ranks=9
if [[ $ranks -gt $(nproc) ]]; then
    expect "$ranks ranks on $(nproc) cores" 0 'share|cores' $run --bind-to none -n $ranks "$a"
    lines=$(grep -c 'mray.*warn' "$log")
    if [[ $lines -ne 1 ]]; then
        echo "$ranks ranks on $(nproc) cores: FAILED: $lines warnings, not 1"
        cut -c1-300 "$log"
        n_failed=$((n_failed + 1))
    fi
fi
echo "$n_failed failed"
[[ $n_failed -eq 0 ]]
