"""dask_peer.py OUT [--quick]: the cases by Dask distributed: a scheduler and one worker process of one thread on the loopback address."""
import os

import dask
import distributed
import numpy

import peer


def main():
    cases = peer.Cases()
    dask.config.set({"temporary-directory": os.environ["PEER_TEMP"], "distributed.worker.memory.target": False,
                     "distributed.worker.memory.spill": False})
    cluster = distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1")
    client = distributed.Client(cluster)

    def sync(n):
        for _ in range(n):
            peer.check(client.submit(peer.nop, pure=False).result() == peer.NOP_VALUE, "no-op")

    def bulk(n):
        peer.check_all(client.gather(client.map(peer.nop, range(n), pure=False)), n)

    def chain(n):
        future = client.submit(peer.next_of, 0, pure=False)
        for _ in range(n - 1):
            future = client.submit(peer.next_of, future, pure=False)
        peer.check(future.result() == n, "chain")

    cases.measure("task_sync", 300, sync)
    cases.measure("task_async", 3000, bulk)
    cases.measure("chain", 1000, chain)

    array = numpy.ones(peer.MANY_BYTES, dtype=numpy.uint8)

    def put(n):
        seconds = 0
        for i in range(n):
            array[0] = array[-1] = i % 200 + 1
            start = peer.clock()
            future = client.scatter(array, hash=False)
            seconds += peer.clock() - start
            peer.check(peer.is_marked(future.result(), i % 200 + 1), "put")
            del future
        return seconds

    made = client.submit(peer.make, peer.MANY_BYTES, 7, pure=False)
    distributed.wait(made)

    def get(n):
        for _ in range(n):
            peer.check(peer.is_marked(made.result(), 7), "get")

    cases.measure("put_64M", 5, put, runs_each=0)
    cases.measure("get_64M", 5, get, runs_each=0)
    del made

    counter = client.submit(peer.Counter, actor=True).result()

    def actor_sync(n):
        peer.check_counts([counter.add(1).result() for _ in range(n)])

    def actor_async(n):
        futures = [counter.add(1) for _ in range(n)]
        peer.check_counts(sorted(future.result() for future in futures))  # Dask does not keep the order of calls

    cases.measure("actor_sync", 300, actor_sync)
    cases.measure("actor_async", 3000, actor_async)
    cases.python_floor()
    client.close()
    cluster.close()
    cases.write(f"Dask {distributed.__version__}")


if __name__ == "__main__":
    main()
