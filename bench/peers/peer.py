"""peer.py: what the Python peers have in common: their tasks, counting executions, timing, the answer file.

A peer's program runs every case once and writes {"version", "rows": {case: microseconds}, "skipped": {case: why}} for bench/peers/run. Tasks count
their executions in a file that all processes map (PEER_RUNS), each process in a word of its own: Ray with one CPU has several worker processes, which
overlap for moments.
"""
import fcntl
import json
import mmap
import os
import pickle
import sys
import time

MANY_BYTES = 64 << 20
NOP_VALUE = 42
clock = time.perf_counter


def _claim_word():
    """The words, and which is this process's. The first is how many are claimed."""
    with open(os.environ["PEER_RUNS"], "r+b") as file:
        words = memoryview(mmap.mmap(file.fileno(), 0)).cast("Q")
        fcntl.flock(file, fcntl.LOCK_EX)
        words[0] += 1
        own = words[0]
        fcntl.flock(file, fcntl.LOCK_UN)  # the mapping keeps a descriptor, and with it the lock
        return words, own


_words, _own = _claim_word()


def count():
    _words[_own] += 1


def runs():
    return sum(_words[1:_words[0] + 1])


# ---- the tasks ----

def nop(_=None):
    count()
    return NOP_VALUE


def next_of(x):
    count()
    return x + 1


def make(n_bytes, mark):
    import numpy
    count()
    array = numpy.zeros(n_bytes, dtype=numpy.uint8)
    array[0] = array[-1] = mark
    return array


def ends_of(array):
    count()
    return len(array), int(array[0]), int(array[-1])


class Counter:
    def __init__(self):
        self.n = 0

    def add(self, k):
        count()
        self.n += k
        return self.n


# ---- answers ----

def check(right, what):
    if not right:
        sys.exit(f"wrong answer: {what}")


def check_all(results, n, expected=NOP_VALUE):
    check(len(results) == n and all(x == expected for x in results), f"{n} results of {expected}")


def check_counts(results):
    """What an actor's calls gave: each one more than the one before."""
    check(list(results) == list(range(results[0], results[0] + len(results))), "calls of an actor in order")


def is_marked(array, mark):
    return len(array) == MANY_BYTES and array[0] == mark and array[-1] == mark


# ---- timing ----

class Cases:
    def __init__(self):
        parser_args = sys.argv[1:]
        self.out, self.quick = parser_args[0], "--quick" in parser_args
        self.rows, self.skipped = {}, {}

    def measure(self, case, n, fn, runs_each=1, warm=True):
        """fn(n) does n of them, checks their answers and may return the seconds of the part that counts. Each must run runs_each tasks."""
        if self.quick:
            n = max(n // 10, 3)
        if warm:
            fn(max(n // 10, 2))
        before, start = runs(), clock()
        seconds = fn(n)
        if seconds is None:
            seconds = clock() - start
        ran = runs() - before
        check(ran == n * runs_each, f"{case}: {ran} tasks ran, not {n * runs_each}")
        self.rows[case] = seconds / n * 1e6

    def skip(self, case, why):
        self.skipped[case] = why

    def python_floor(self):
        """What the language takes of a task even if all else were free: call and result pickled and unpickled once, and the call."""
        def fn(n):
            for i in range(n):
                call, args = pickle.loads(pickle.dumps((nop, (i,))))
                check(pickle.loads(pickle.dumps(call(*args))) == NOP_VALUE, "pickled no-op")
        self.measure("python_floor", 20000, fn)

    def write(self, version):
        with open(self.out, "w") as file:
            json.dump({"version": f"{version}, Python {sys.version.split()[0]}", "rows": self.rows, "skipped": self.skipped}, file)
