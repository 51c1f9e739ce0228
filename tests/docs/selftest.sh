#!/usr/bin/env bash
# selftest.sh DOCS WORK CC: docs.pl finds what is wrong in a small tree, and nothing in a good one.
set -uo pipefail
docs=$1 work=$2 cc=$3
failed=0

fresh() {
    rm -rf "$work"
    mkdir -p "$work"/{docs/guide,docs/design,include/mray,examples/a,src/base}
    touch "$work"/{CHANGELOG.md,CONTRIBUTING.md,src/base/a.c} "$work/examples/a/README.md"
    printf '#!/bin/sh\nshift\nexec "$@"\n' >"$work/run"
    chmod +x "$work/run"
    printf 'Text.\n```c\n#include <stdio.h>\nint main(void) { puts("hi"); return 0; }\n```\n```text\nhi\n```\n' >"$work/README.md"
    printf '#define T(X) \\\n    X(OK, 0, "success") \\\n    X(ERR_A, 1, "a is wrong")\n' >"$work/include/mray/status.h"
    printf '| OK | 0 | success | go on |\n| ERR_A | 1 | a is wrong | mend a |\n' >"$work/docs/guide/errors.md"
}

# expect CHECK [TEXT]: it fails and says TEXT; without TEXT it passes.
expect() {
    local out code
    out=$(perl "$docs" "$1" "$work" "$work/w" "$work/run" "$cc" 2>&1)
    code=$?
    if [[ $# -eq 1 && $code -ne 0 ]]; then
        echo "selftest: $1 should pass: $out"
        failed=1
    elif [[ $# -eq 2 ]] && { [[ $code -eq 0 ]] || ! grep -qF -- "$2" <<<"$out"; }; then
        echo "selftest: $1 should say \"$2\", but: $out"
        failed=1
    fi
}

# broken FILE SED CHECK TEXT
broken() {
    fresh
    sed -i "$2" "$work/$1"
    expect "$3" "$4"
}

fresh
for check in programs statuses links; do expect $check; done
broken README.md 's/^hi$/ho/' programs 'and the page says'
broken README.md 's/return 0/return 3/' programs 'fails'
broken README.md 's/return 0;/return x;/' programs 'does not compile'
broken README.md 's/int main(void)/int other(void)/' programs 'in no program of the page'
broken README.md '$ d' programs 'has no end'
broken docs/guide/errors.md 's/| 1 |/| 2 |/' statuses 'row 2'
broken docs/guide/errors.md '1 d' statuses 'row 1'
broken docs/guide/errors.md 's/mend a//' statuses 'nothing to do about ERR_A'
broken include/mray/status.h 's/a is wrong/a is bad/' statuses 'row 2'
fresh && echo 'see [x](docs/none.md)' >>"$work/CHANGELOG.md" && expect links 'no such file: docs/none.md'
fresh && echo 'see src/base/b.c' >>"$work/CHANGELOG.md" && expect links 'no such file: src/base/b.c'
fresh && echo 'see src/base/a.c and [w](https://example.org/x)' >>"$work/CHANGELOG.md" && expect links
rm -rf "$work"
[[ $failed -eq 0 ]] && echo "docs.selftest: clean"
exit $failed
