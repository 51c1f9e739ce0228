"""mpi4py_peer.py OUT [--quick]: the cases by mpi4py.futures: mpirun -n 2 python -m mpi4py.futures, so that rank 1 is the one worker."""
import mpi4py
import numpy
from mpi4py import MPI
from mpi4py.futures import MPIPoolExecutor

import peer


def main():
    cases = peer.Cases()
    pool = MPIPoolExecutor(max_workers=1)

    def sync(n):
        for _ in range(n):
            peer.check(pool.submit(peer.nop).result() == peer.NOP_VALUE, "no-op")

    def bulk(n):
        futures = [pool.submit(peer.nop) for _ in range(n)]
        peer.check_all([future.result() for future in futures], n)

    cases.measure("task_sync", 2000, sync)
    cases.measure("task_async", 10000, bulk)
    cases.skip("chain", "a future cannot be another task's argument")

    array = numpy.ones(peer.MANY_BYTES, dtype=numpy.uint8)

    def put(n):
        for i in range(n):
            array[0] = array[-1] = i % 200 + 1
            peer.check(pool.submit(peer.ends_of, array).result() == (peer.MANY_BYTES, i % 200 + 1, i % 200 + 1), "argument")

    def get(n):
        for i in range(n):
            peer.check(peer.is_marked(pool.submit(peer.make, peer.MANY_BYTES, i % 200 + 1).result(), i % 200 + 1), "result")

    cases.measure("put_64M", 5, put)
    cases.measure("get_64M", 5, get)
    for case in ("actor_sync", "actor_async"):
        cases.skip(case, "no actors")
    cases.python_floor()
    pool.shutdown()
    cases.write(f"mpi4py {mpi4py.__version__} on {MPI.Get_library_version().split(',')[0].strip()}")


if __name__ == "__main__":
    main()
