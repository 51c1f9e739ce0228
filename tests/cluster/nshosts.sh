#!/usr/bin/env bash
# not a test
# nshosts.sh: hosts made of network namespaces, to be sourced; run as  nshosts.sh agent HOST command...  it is mpirun's remote shell.
#
#   hosts_up N          hosts h1 .. hN; taken down when the script ends, however it ends. Exit code 77 and a reason where that cannot be
#   hosts_in H cmd...   run a command on a host
#   hosts_mpirun ...    mpirun on h1
#   hosts_list R        "h1:R,h2:R,..": R ranks a host, for mpirun --host
#
# A host is a net, uts, ipc and mount namespace with a name, a /dev/shm and an /etc/hosts of its own, and the address 10.77.0.i. A bridge in
# a namespace of its own joins them, so nothing changes in the machine's namespaces, and runs side by side do not meet. All state is in a
# fresh folder. Each namespace is held by a sleeping process that the kernel ends together with this script.
# Needs root (CAP_SYS_ADMIN, CAP_NET_ADMIN), ip, unshare, nsenter and setpriv.

if [[ ${1:-} == agent ]]; then
    shift
    while [[ ${1:-} == -* ]]; do shift; done
    host=$1
    shift
    exec nsenter -t "$(cat "$NSHOSTS_DIR/$host.pid")" --net --uts --ipc --mount /bin/sh -c "$*"
fi

hosts_script=$(readlink -f "${BASH_SOURCE[0]}")
hosts_n=0

hosts_skip() {
    echo "skipped: $1"
    exit 77
}

hosts_require() {
    local tool
    [[ $(id -u) -eq 0 ]] || hosts_skip "hosts made of namespaces need root"
    for tool in ip unshare nsenter setpriv mpirun; do
        command -v $tool >/dev/null || hosts_skip "hosts made of namespaces need $tool"
    done
    unshare --net --uts --ipc --mount true 2>/dev/null || hosts_skip "the kernel allows no new namespaces here"
}

# hosts_hold NAME: a process in new namespaces; its id in NAME.pid
hosts_hold() {
    unshare --net --uts --ipc --mount --propagation private setpriv --pdeathsig KILL \
        sh -c 'echo $$ >"$0.new" && mv "$0.new" "$0" && exec sleep infinity' "$NSHOSTS_DIR/$1.pid" </dev/null >/dev/null 2>&1 &
    disown
    local turn
    for ((turn = 0; turn < 500; turn++)); do
        [[ -s $NSHOSTS_DIR/$1.pid ]] && return 0
        sleep 0.01
    done
    echo "nshosts: $1 does not start"
    return 1
}

hosts_in() {
    local host=$1
    shift
    nsenter -t "$(cat "$NSHOSTS_DIR/$host.pid")" --net --uts --ipc --mount --wdns="$PWD" "$@"
}

hosts_down() {
    local file pid
    for file in "$NSHOSTS_DIR"/*.pid; do
        pid=$(cat "$file" 2>/dev/null) && kill -KILL "$pid" 2>/dev/null
    done
    rm -rf "$NSHOSTS_DIR"
    hosts_n=0
}

hosts_up() {
    local i
    hosts_require
    NSHOSTS_DIR=$(mktemp -d /tmp/mray-nshosts-XXXXXX)
    export NSHOSTS_DIR
    trap hosts_down EXIT
    trap 'exit 143' TERM
    trap 'exit 130' INT
    echo 127.0.0.1 localhost >"$NSHOSTS_DIR/hosts"
    for ((i = 1; i <= $1; i++)); do echo "10.77.0.$i h$i" >>"$NSHOSTS_DIR/hosts"; done
    hosts_hold switch || exit 1
    hosts_in switch sh -ec 'ip link set lo up; ip link add br0 type bridge; ip link set br0 up' || hosts_skip "the kernel makes no bridge"
    for ((i = 1; i <= $1; i++)); do
        hosts_hold h$i || exit 1
        hosts_in switch ip link add p$i type veth peer name eth0 netns "$(cat "$NSHOSTS_DIR/h$i.pid")" || hosts_skip "the kernel makes no veth pair"
        hosts_in switch sh -ec "ip link set p$i master br0; ip link set p$i up" || exit 1
        hosts_in h$i sh -ec "hostname h$i; ip link set lo up; ip addr add 10.77.0.$i/24 dev eth0; ip link set eth0 up
            mount -t tmpfs -o size=4g tmpfs /dev/shm; mount --bind '$NSHOSTS_DIR/hosts' /etc/hosts" || exit 1
    done
    hosts_n=$1
}

hosts_list() {
    local i list=""
    for ((i = 1; i <= hosts_n; i++)); do list+=${list:+,}h$i:$1; done
    echo "$list"
}

# Every host binds its first rank to the same core, so nothing is bound.
hosts_mpirun() {
    OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 hosts_in h1 mpirun --mca plm_rsh_agent "$hosts_script agent" \
        --mca btl_tcp_if_include eth0 --mca oob_tcp_if_include eth0 --bind-to none --oversubscribe "$@"
}
