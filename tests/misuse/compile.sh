#!/usr/bin/env bash
# What the macros accept and refuse, by compiling a few lines each: calls inside calls compile; a ninth argument or parameter, and a parameter without
# its name, stop the compiler with a sentence.
set -u
: "${MRAY_CC:?is the compiler}" "${MRAY_SOURCE_DIR:?is the source tree}"
n_failed=0
log=$(mktemp /tmp/mray-compile-XXXXXX)
trap 'rm -f "$log"' EXIT

# Clang asks for an argument in the place of `...` where GCC does not.
pedantic=-Wpedantic
[[ $("$MRAY_CC" --version) == *clang* ]] && pedantic=

compile() {
    { printf '#include <mray/mray.h>\nMRAY_TASK(int64_t, f, int64_t, x, int64_t, y) { return x + y; }\ntypedef struct { int n; } cell;\n'; cat; } |
        "$MRAY_CC" -std=c17 -Wall -Wextra $pedantic -Werror -fsyntax-only -I "$MRAY_SOURCE_DIR/include" -x c - >"$log" 2>&1
}

# accepts NAME <text
accepts() {
    if compile; then echo "$1: passed"; return; fi
    echo "$1: FAILED: does not compile"
    head -20 "$log"
    n_failed=$((n_failed + 1))
}

# refuses NAME SENTENCE <text: with that sentence, which is the compiler's first.
refuses() {
    if compile; then
        echo "$1: FAILED: compiles"
    elif ! grep -m1 'error:' "$log" | grep -qF -- "$2"; then
        echo "$1: FAILED: the first error is not: $2"
        head -20 "$log"
    else
        echo "$1: passed"
        return
    fi
    n_failed=$((n_failed + 1))
}

limit='at most 8 arguments'
accepts "a call inside a call" <<<'mray_ref g(void); mray_ref g(void) { return mray_remote(f, mray_remote(f, 1, 2), mray_remote(f, mray_remote(f, 3, 4), 5)); }'
accepts "a call inside a call of another kind" <<<'
MRAY_ACTOR(cell, int64_t, n) { self->n = (int)n; }
MRAY_METHOD(int64_t, cell, add, int64_t, k) { return self->n += (int)k; }
mray_ref g(mray_ref *refs, mray_actor a);
mray_ref g(mray_ref *refs, mray_actor a)
{
    mray_actor b = mray_actor_new(cell, mray_call(a, cell, add, 1));
    if (mray_remote_n(refs, 2, f, mray_remote_with(mray_opts(.num_cpus = 2, .max_retries = 1), f, 1, mray_remote(f, 2, 3)), 4) != MRAY_OK) return refs[0];
    return mray_call(b, cell, add, mray_call(a, cell, add, mray_remote(f, mray_put(1), mray_call(b, cell, add, 7))));
}'
accepts "no argument at all" <<<'MRAY_TASK(void, none) {} mray_ref g(void); mray_ref g(void) { return mray_remote(none); }'
accepts "eight arguments" <<<'
MRAY_TASK(int, eight, int, a, int, b, int, c, int, d, int, e, int, f_, int, g_, int, h) { return a + b + c + d + e + f_ + g_ + h; }
mray_ref g(void); mray_ref g(void) { return mray_remote(eight, 1, 2, 3, 4, 5, 6, 7, 8); }'
refuses "nine arguments" "$limit" <<<'mray_ref g(void); mray_ref g(void) { return mray_remote(f, 1, 2, 3, 4, 5, 6, 7, 8, 9); }'
refuses "seventeen arguments" "$limit" <<<'mray_ref g(void); mray_ref g(void) { return mray_remote(f, 1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 7, 8); }'
refuses "nine arguments of a method" "$limit" <<<'
MRAY_ACTOR(cell) { self->n = 0; }
MRAY_METHOD(int64_t, cell, read) { return self->n; }
mray_ref g(mray_actor a); mray_ref g(mray_actor a) { return mray_call(a, cell, read, 1, 2, 3, 4, 5, 6, 7, 8, 9); }'
nine='int, a, int, b, int, c, int, d, int, e, int, f_, int, g, int, h, int, i'
refuses "nine parameters" "$limit" <<<"MRAY_TASK(int, t, $nine) { return a + b + c + d + e + f_ + g + h; }"
refuses "nine parameters of a constructor" "$limit" <<<"MRAY_ACTOR(cell, $nine) { self->n = a + b + c + d + e + f_ + g + h; }"
refuses "nine parameters of a method" "$limit" <<<"MRAY_METHOD(int, cell, m, $nine) { return a + b + c + d + e + f_ + g + h; }"
refuses "a parameter without a name" "parameters are pairs" <<<'MRAY_TASK(int, t, int, a, int) { return a; }'
echo "$n_failed failed"
[[ $n_failed -eq 0 ]]
