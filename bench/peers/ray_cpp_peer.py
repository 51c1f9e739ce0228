"""ray_cpp_peer.py PROGRAM LIBRARY OUT [--quick]: one node of Ray, and on it the cases by Ray's C++ API (ray_cpp_peer.cpp).

The node is started and ended here, not by the C++ driver, whose end of a node it started is `ray stop`: that ends every Ray on the machine.
"""
import os
import subprocess
import sys

import ray


def main():
    program, library, out = sys.argv[1:4]
    context = ray.init(num_cpus=1, include_dashboard=False, object_store_memory=512 << 20, log_to_driver=False, logging_level="error",
                       _temp_dir=os.environ["PEER_TEMP"], _node_ip_address="127.0.0.1")
    code = subprocess.run([program, out, context.address_info["gcs_address"], library, ray.__version__, *sys.argv[4:]]).returncode
    ray.shutdown()
    sys.exit(code)


if __name__ == "__main__":
    main()
