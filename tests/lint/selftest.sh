#!/usr/bin/env bash
# selftest.sh LINT WORK: every rule of lint.pl is broken once in a small tree, and must be reported; the clean tree must pass.
set -uo pipefail
lint=$1 work=$2
failed=0

fresh() {
    rm -rf "$work"
    mkdir -p "$work"/src/{base,topo,net,gcs,store,sched,exec,obs,api} "$work/include/mray"
    printf '#ifndef A_H\n#define A_H\nint base_a(void);\n#endif\n' >"$work/src/base/a.h"
    printf '#include "a.h"\n\nstatic int one(int x);\nstatic const int table[] = {1, 2};\nint base_a(void)\n{\n    return one(table[0]);\n}\nstatic int one(int x)\n{\n    return x; /* extern "net.h" */\n}\n' >"$work/src/base/a.c"
    printf '#include "a.h"\nint net_b(int x);\n' >"$work/src/net/b.h"
    printf '#include "b.h"\n#include <mpi.h>\n#define X(n) n\nX(int)net_b(int x)\n{\n    return x;\n}\n' >"$work/src/net/b.c"
}

# expect CHECK TEXT: the check fails and says TEXT. expect CHECK: it passes.
expect() {
    local out
    out=$(perl "$lint" "$1" "$work")
    local code=$?
    if [[ $# -eq 1 && $code -ne 0 ]]; then
        echo "selftest: $1 should pass: $out"
        failed=1
    elif [[ $# -eq 2 ]] && { [[ $code -eq 0 ]] || ! grep -qF "$2" <<<"$out"; }; then
        echo "selftest: $1 should say \"$2\", but: $out"
        failed=1
    fi
}

# broken FILE TEXT CHECK MESSAGE: TEXT appended to FILE of a fresh tree.
broken() {
    fresh
    printf "$2" >>"$work/$1"
    expect "$3" "$4"
}

fresh
for check in layers files words; do expect "$check"; done
broken src/base/a.c '#include "b.h"\n' layers 'later layer net'
broken src/base/a.c '#include "../net/b.h"\n' layers 'plain name'
broken src/base/a.c '#include <../net/b.h>\n' layers 'must not leave'
broken src/base/a.c '#include "stdio.h"\n' layers 'no header of a layer'
broken src/base/a.c '#include <mpi.h>\n' layers 'only src/net'
broken src/api/c.h '#include <mray/mpi.h>\n' layers 'only src/net'
broken src/net/b.h '#include <hwloc.h>\n' layers 'only src/topo'
broken include/mray/x.h '#include <mpi.h>\n' layers 'only mray/mpi.h'
broken src/base/a.c 'extern int net_b(int x);\n' layers 'extern in a .c'
broken src/base/a.c 'void f(void)\n{\n    extern int y;\n}\n' layers 'extern in a .c'
broken src/base/a.c 'int net_b(int x);\n' layers 'prototype in a .c'
broken src/base/a.c 'const struct s *\nnet_b(int x, int y) __attribute__((pure));\n' layers 'prototype in a .c'
broken src/base/a.h '#include "z.h"\n' layers 'no header of a layer'
broken src/gcs/a.h 'int x;\n' layers 'of this name'
fresh
printf '#include "p.h"\n' >"$work/src/base/q.h"
printf '#include "q.h"\n' >"$work/src/base/p.h"
expect layers 'include cycle'
broken src/base/c.c 'int base_c(void)\n{\n    return 1;\n}\n' files 'neither src/base/c.h'
broken src/base/c.c 'const int base_table[2] = {1, 2};\n' files 'neither src/base/c.h'
fresh
printf 'static int c(void)\n{\n    return 1;\n}\n' >"$work/src/base/c.c"
expect files
fresh
for ((i = 0; i < 601; i++)); do echo; done >>"$work/src/base/a.c"
expect files 'split files'
broken docs.md "see /ho""me/someone/x\n" words 'path of some machine'
broken docs.md "TO""DO: later\n" words 'mark left'
rm -rf "$work"
[[ $failed -eq 0 ]] && echo "lint.selftest: clean"
exit $failed
