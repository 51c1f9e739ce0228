#!/usr/bin/env bash
# The MPI tests on three hosts, one and two ranks each, both kinds of workers; and both ways to move large objects.
set -u
here=$(dirname "$(readlink -f "$0")")
source "$here/nshosts.sh"
source "$here/programs.sh"
hosts_up 3
run_programs 1 process
run_programs 2 thread
for bulk in rma pull; do
    export MRAY_BULK=$bulk
    for name in basic dag; do run_on_hosts 1 process "$MRAY_BUILD_DIR/tests/mpi/mpi_$name"; done
done
programs_verdict
