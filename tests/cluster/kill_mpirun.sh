#!/usr/bin/env bash
# mpirun is killed at several moments of a run, by SIGKILL, SIGTERM and SIGINT: afterwards there is no process of the job, and nothing
# of mray's in /dev/shm.
set -u
: "${MRAY_BUILD_DIR:?is the folder of the build}"
program=$MRAY_BUILD_DIR/tests/mpi/mpi_dag
[[ -x $program ]] || { echo "skipped: $program is not built"; exit 77; }
command -v mpirun >/dev/null || { echo "skipped: there is no mpirun"; exit 77; }
[[ $(id -u) -eq 0 ]] && export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
n_failed=0
log=$(mktemp /tmp/mray-kill-XXXXXX)
trap 'rm -f "$log"' EXIT

processes() {
    local file
    for file in $(grep -lszxF "MRAY_TEST_ID=$id" /proc/[0-9]*/environ 2>/dev/null); do
        [[ $(awk '/^State:/ {print $2}' "${file%/environ}/status" 2>/dev/null) == [RSDTtI] ]] && basename "${file%/environ}"
    done
}

# Files that no living process uses: another job of this machine may have some at this moment.
files() {
    local name
    for name in $(find /dev/shm -maxdepth 1 -name '*mray*' -printf '%f\n' 2>/dev/null); do
        grep -qsF "/dev/shm/$name" /proc/[0-9]*/maps || echo "$name"
    done
}

vader_before=$(ls /dev/shm | grep ^vader_segment)
files_before=$(files)
for signal in KILL TERM INT; do
    for seconds in 0.05 0.12 0.2 0.3 0.5 1.0; do
        for mode in process thread; do
            id=kill-$$-$RANDOM$RANDOM
            # A background job of a script ignores SIGINT, which mpirun would inherit.
            MRAY_TEST_ID=$id MRAY_WORKERS=$mode MRAY_TEST_STEPS=100000000 setsid perl -e '$SIG{INT} = "DEFAULT"; exec @ARGV' \
                mpirun --oversubscribe -n 4 "$program" </dev/null >"$log" 2>&1 &
            mpirun=$!
            sleep "$seconds" # the moment of the kill, no synchronisation
            if ! kill -$signal $mpirun 2>/dev/null; then
                echo "the run ended by itself:"
                tail -5 "$log"
                n_failed=$((n_failed + 1))
            fi
            # Open MPI's launcher does not always end by itself when it is told to while it starts; what is ours has to go all the same.
            for ((turn = 0; turn < 200; turn++)); do
                kill -0 $mpirun 2>/dev/null || break
                sleep 0.1
            done
            kill -KILL $mpirun 2>/dev/null
            wait $mpirun 2>/dev/null
            for ((turn = 0; turn < 100; turn++)); do
                left=$(processes)
                left_files=$(comm -13 <(sort <<<"$files_before") <(files | sort))
                [[ -z $left && -z $left_files ]] && break
                sleep 0.1
            done
            if [[ -n $left || -n $left_files ]]; then
                n_failed=$((n_failed + 1))
                echo "SIG$signal after $seconds s, $mode workers: left over:" $left_files
                for pid in $left; do
                    echo "    $pid $(cat "/proc/$pid/comm" 2>/dev/null)"
                    kill -KILL "$pid" 2>/dev/null
                done
                for name in $left_files; do rm -f "/dev/shm/$name"; done
            fi
        done
    done
done
# Open MPI's own segments of killed jobs.
for name in $(comm -13 <(sort <<<"$vader_before") <(ls /dev/shm | grep ^vader_segment | sort)); do
    grep -qsF "/dev/shm/$name" /proc/[0-9]*/maps || rm -f "/dev/shm/$name"
done
echo "36 runs, $n_failed failed"
[[ $n_failed -eq 0 ]]
