"""ray_peer.py OUT [--quick]: the cases by Ray's core API: one worker, the object store of one node."""
import os

import numpy
import ray

import peer


def main():
    cases = peer.Cases()
    ray.init(num_cpus=1, include_dashboard=False, object_store_memory=512 << 20, log_to_driver=False, logging_level="error",
             _temp_dir=os.environ["PEER_TEMP"], _node_ip_address="127.0.0.1")
    nop, next_of, make = ray.remote(peer.nop), ray.remote(peer.next_of), ray.remote(peer.make)

    def sync(n):
        for _ in range(n):
            peer.check(ray.get(nop.remote()) == peer.NOP_VALUE, "no-op")

    def bulk(n):
        peer.check_all(ray.get([nop.remote() for _ in range(n)]), n)

    def chain(n):
        ref = next_of.remote(0)
        for _ in range(n - 1):
            ref = next_of.remote(ref)
        peer.check(ray.get(ref) == n, "chain")

    cases.measure("task_sync", 1000, sync)
    cases.measure("task_async", 10000, bulk)
    cases.measure("chain", 3000, chain)

    array = numpy.ones(peer.MANY_BYTES, dtype=numpy.uint8)

    def put(n):
        seconds = 0
        for i in range(n):
            array[0] = array[-1] = i % 200 + 1
            start = peer.clock()
            ref = ray.put(array)
            seconds += peer.clock() - start
            peer.check(peer.is_marked(ray.get(ref), i % 200 + 1), "put")
            del ref
        return seconds

    made = make.remote(peer.MANY_BYTES, 7)
    ray.wait([made])

    def get(n):
        for _ in range(n):
            peer.check(peer.is_marked(ray.get(made), 7), "get")

    cases.measure("put_64M", 10, put, runs_each=0)
    cases.measure("get_64M", 1000, get, runs_each=0)
    del made

    # Last, and the only one: an actor takes the worker's CPU.
    counter = ray.remote(num_cpus=1)(peer.Counter).remote()

    def actor_sync(n):
        peer.check_counts([ray.get(counter.add.remote(1)) for _ in range(n)])

    def actor_async(n):
        peer.check_counts(ray.get([counter.add.remote(1) for _ in range(n)]))

    cases.measure("actor_sync", 1000, actor_sync)
    cases.measure("actor_async", 10000, actor_async)
    cases.python_floor()
    ray.shutdown()
    cases.write(f"Ray {ray.__version__}")


if __name__ == "__main__":
    main()
