"""install.py: puts each peer into a folder of its own below build/peers. Nothing is installed into the system.

Python's come by pip into a virtual environment each. StarPU's packages are downloaded by apt-get and unpacked, unless the system has it; with them
starpu_peer is compiled. A peer that cannot be had is named with the reason, which is no error.
"""
import dataclasses
import glob
import os
import shutil
import subprocess
import sys


@dataclasses.dataclass
class Peer:
    name: str
    title: str
    folder: str
    command: list
    environment: dict = dataclasses.field(default_factory=dict)
    has_metg: bool = False


class CannotBeHad(Exception):
    pass


HERE = os.path.dirname(os.path.realpath(__file__))


def call(command, what, cwd=None, seconds=900):
    try:
        done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, errors="replace",
                              timeout=seconds)
    except FileNotFoundError:
        raise CannotBeHad(f"{what}: no {command[0]}") from None
    except subprocess.TimeoutExpired:
        raise CannotBeHad(f"{what}: no end in {seconds} s") from None
    if done.returncode != 0:
        lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith(("ERROR", "E:")) or "error:" in line]
        raise CannotBeHad(f"{what}: {(errors or lines or ['no output'])[-1][:200]}")
    return done.stdout


def python_with(folder, packages, modules):
    """A virtual environment's Python that can import the modules."""
    python = os.path.join(folder, "venv", "bin", "python")
    test = [python, "-c", f"import {', '.join(modules)}"]
    if not os.path.exists(python) or subprocess.run(test, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode != 0:
        print(f"installing {', '.join(packages)} into {folder}/venv", flush=True)
        call([sys.executable, "-m", "venv", "--clear", os.path.join(folder, "venv")], "python3 -m venv")
        call([python, "-m", "pip", "install", "--quiet", "--retries", "1", *packages], "pip")
        call(test, "import")
    return python


# ---- the Python ones ----

def ray(folder, _top):
    python = python_with(folder, ["ray", "numpy"], ["ray", "numpy"])
    return Peer("ray", "Ray", folder, [python, os.path.join(HERE, "ray_peer.py")], {"RAY_USAGE_STATS_ENABLED": "0"})


def ray_cpp(folder, _top):
    """Its headers and library are a package beside Ray's own, in the same environment."""
    python = python_with(os.path.join(os.path.dirname(folder), "ray"), ["ray", "numpy"], ["ray", "numpy"])
    where = [python, "-c", "import os, ray; print(os.path.join(os.path.dirname(ray.__file__), 'cpp'))"]
    cpp = call(where, "import").splitlines()[-1]
    shared = os.path.join(cpp, "lib", "libray_api.so")
    if not os.path.exists(shared):
        print("installing ray[cpp]", flush=True)
        call([python, "-m", "pip", "install", "--quiet", "--retries", "1", "ray[cpp]"], "pip")
    source = os.path.join(HERE, "ray_cpp_peer.cpp")
    program, library = os.path.join(folder, "ray_cpp_peer"), os.path.join(folder, "libray_cpp_peer.so")
    # The library's strings are those of the compiler it was made with.
    abi = int("__cxx11" in call(["nm", "-D", shared], "nm"))
    flags = ["-std=c++17", "-O2", "-DNDEBUG", "-Wall", "-Wextra", "-Werror", f"-D_GLIBCXX_USE_CXX11_ABI={abi}", "-isystem", os.path.join(cpp, "include"), source,
             f"-L{os.path.dirname(shared)}", f"-Wl,-rpath,{os.path.dirname(shared)}", "-lray_api", "-pthread"]
    for out, more in ((program, []), (library, ["-fPIC", "-shared"])):
        if not os.path.exists(out) or os.path.getmtime(out) < max(os.path.getmtime(source), os.path.getmtime(shared)):
            call(["g++", *flags, *more, "-o", out], "g++")
    return Peer("ray_cpp", "Ray, C++", folder, [python, os.path.join(HERE, "ray_cpp_peer.py"), program, library], {"RAY_USAGE_STATS_ENABLED": "0"})


def dask(folder, _top):
    python = python_with(folder, ["distributed", "numpy"], ["distributed", "numpy"])
    return Peer("dask", "Dask", folder, [python, os.path.join(HERE, "dask_peer.py")])


def mpi4py(folder, _top):
    python = python_with(folder, ["mpi4py", "numpy"], ["mpi4py", "mpi4py.MPI", "numpy"])
    return Peer("mpi4py", "mpi4py.futures", folder,
                ["mpirun", "--oversubscribe", "-n", "2", python, "-m", "mpi4py.futures", os.path.join(HERE, "mpi4py_peer.py")])


# ---- StarPU ----

def missing_packages(name):
    """name and what it needs that this system lacks."""
    simulate = ["apt-get", "install", "--simulate", "--no-install-recommends", name]
    try:
        plan = call(simulate, "apt-get")
    except CannotBeHad:
        if os.geteuid() != 0:
            raise
        call(["apt-get", "update"], "apt-get update")  # a fresh system has no lists
        plan = call(simulate, "apt-get")
    return [line.split()[1] for line in plan.splitlines() if line.startswith("Inst ")]


def unpack_starpu(root):
    archives = root + ".debs"
    os.makedirs(archives, exist_ok=True)
    packages = missing_packages("libstarpu-dev")
    print(f"unpacking {', '.join(packages)} into {root}", flush=True)
    call(["apt-get", "download", *packages], "apt-get", cwd=archives)
    for archive in glob.glob(os.path.join(archives, "*.deb")):
        call(["dpkg-deb", "--extract", archive, root], "dpkg-deb")
    shutil.rmtree(archives)


def starpu_flags(folder):
    """Compiler flags for the system's StarPU, or for one unpacked below folder."""
    if subprocess.run(["sh", "-c", "pkg-config --exists starpu-1.3"], stderr=subprocess.DEVNULL).returncode == 0:
        return call(["pkg-config", "--cflags", "--libs", "starpu-1.3"], "pkg-config").split(), {}
    root = os.path.join(folder, "root")
    if not glob.glob(os.path.join(root, "usr", "lib", "*", "libstarpu-1.3.so")):
        shutil.rmtree(root, ignore_errors=True)
        unpack_starpu(root)
    found = glob.glob(os.path.join(root, "usr", "lib", "*", "libstarpu-1.3.so"))
    if not found:
        raise CannotBeHad("libstarpu-dev has no libstarpu-1.3.so")
    libraries = os.path.dirname(found[0])
    include = os.path.join(root, "usr", "include")
    return ["-isystem", os.path.join(include, "starpu", "1.3"), "-isystem", include, f"-L{libraries}", f"-Wl,-rpath-link,{libraries}", "-lstarpu-1.3"], \
        {"LD_LIBRARY_PATH": libraries}


def starpu(folder, top):
    flags, environment = starpu_flags(folder)
    program = os.path.join(folder, "starpu_peer")
    sources = [os.path.join(HERE, "starpu_peer.c"), os.path.join(top, "bench", "metg_graph.c")]
    # mpicc for the header that metg.h includes; no MPI call is made.
    call(["mpicc", "-std=gnu17", "-O2", "-DNDEBUG", "-Wall", "-Wextra", "-Werror", f"-I{top}/include", f"-I{top}/bench", *sources, *flags, "-lm", "-pthread",
          "-o", program], "mpicc")
    # Its performance models and sampling go to STARPU_HOME.
    return Peer("starpu", "StarPU", folder, [program], dict(environment, STARPU_HOME=folder, STARPU_SILENT="1"), has_metg=True)


PEERS = {"ray": ray, "ray_cpp": ray_cpp, "dask": dask, "mpi4py": mpi4py, "starpu": starpu}


def install(names, folder, top):
    """The peers that are there now, and why others are not."""
    peers, missing = [], {}
    for name in names:
        own = os.path.join(folder, name)
        os.makedirs(own, exist_ok=True)
        try:
            peers.append(PEERS[name](own, top))
        except CannotBeHad as why:
            missing[name] = str(why)
            print(f"{name} skipped: {why}", flush=True)
    return peers, missing
