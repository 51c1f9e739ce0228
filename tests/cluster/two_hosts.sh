#!/usr/bin/env bash
# The MPI tests on two hosts, one and two ranks each, both kinds of workers.
set -u
here=$(dirname "$(readlink -f "$0")")
source "$here/nshosts.sh"
source "$here/programs.sh"
hosts_up 2
run_programs 1 process
run_programs 1 thread
run_programs 2 process
run_programs 2 thread
programs_verdict
