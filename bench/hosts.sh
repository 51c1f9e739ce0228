#!/usr/bin/env bash
# hosts.sh HOSTS RANKS PROGRAM [ARG...]: mpirun on hosts made of network namespaces, RANKS ranks on each (tests/cluster/nshosts.sh).
# Exit code 77 with a reason where such hosts cannot be made.
here=$(dirname "$(readlink -f "$0")")
source "$here/../tests/cluster/nshosts.sh"
hosts_up "$1"
# These hosts share one machine, which Open MPI cannot know: more ranks than cores would spin against each other.
[[ $(($1 * $2)) -le $(nproc) ]] || export OMPI_MCA_mpi_yield_when_idle=1
hosts_mpirun --host "$(hosts_list "$2")" "${@:3}"
