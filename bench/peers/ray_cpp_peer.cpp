/* ray_cpp_peer.cpp: the cases by Ray's C++ API: ray_cpp_peer OUT ADDRESS LIBRARY VERSION [--quick].
 *
 * One source, compiled twice: the driver, and the library (LIBRARY) that Ray's worker loads for its tasks. ray_cpp_peer.py starts the node at
 * ADDRESS. Tasks count their executions in the first word of a file that all processes map: atomically, since with one CPU Ray has several
 * worker processes, which overlap for moments. The answers are in peer.py's format. */
#include <ray/api.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <functional>
#include <string>
#include <sys/mman.h>
#include <unistd.h>
#include <vector>

namespace {

constexpr int NOP_VALUE = 42;
constexpr size_t MANY_BYTES = 64 << 20;
using bytes_t = std::vector<unsigned char>; /* msgpack packs it as one run of bytes */

[[noreturn]] void die(const std::string &what)
{
    fprintf(stderr, "ray_cpp_peer: wrong answer: %s\n", what.c_str());
    exit(1);
}

void check(bool right, const std::string &what)
{
    if (!right) die(what);
}

uint64_t *runs()
{
    static uint64_t *mapped = [] {
        const char *path = getenv("PEER_RUNS");
        int fd = path != nullptr ? open(path, O_RDWR | O_CLOEXEC) : -1;
        void *p = fd >= 0 ? mmap(nullptr, sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
        if (p == MAP_FAILED) die("no file PEER_RUNS");
        close(fd);
        return static_cast<uint64_t *>(p);
    }();
    return mapped;
}

void count()
{
    __atomic_fetch_add(runs(), 1, __ATOMIC_SEQ_CST);
}

} // namespace

/* ---- the tasks ---- */

int peer_nop()
{
    count();
    return NOP_VALUE;
}

int peer_next(int x)
{
    count();
    return x + 1;
}

bytes_t peer_make(int mark)
{
    count();
    bytes_t bytes(MANY_BYTES, 0);
    bytes.front() = bytes.back() = static_cast<unsigned char>(mark);
    return bytes;
}

class PeerCounter
{
  public:
    static PeerCounter *create() { return new PeerCounter; }
    int add(int k)
    {
        count();
        n_ += k;
        return n_;
    }

  private:
    int n_ = 0;
};

RAY_REMOTE(peer_nop, peer_next, peer_make);
RAY_REMOTE(PeerCounter::create, &PeerCounter::add);

/* ---- the driver ---- */

namespace {

double seconds_now()
{
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

bool is_marked(const bytes_t &bytes, int mark)
{
    return bytes.size() == MANY_BYTES && bytes.front() == mark && bytes.back() == mark;
}

class Cases
{
  public:
    Cases(const char *path, bool quick) : out_(fopen(path, "we")), quick_(quick)
    {
        if (out_ == nullptr) die("cannot write the answers");
    }

    /* fn(n) does n of them, each of which runs runs_each tasks, and gives the seconds of the part that counts, or less than 0: all. */
    void measure(const char *name, int n, const std::function<double(int)> &fn, int runs_each = 1)
    {
        if (quick_) n = std::max(n / 10, 3);
        (void)fn(std::max(n / 10, 2));
        uint64_t before = __atomic_load_n(runs(), __ATOMIC_SEQ_CST);
        double start = seconds_now(), seconds = fn(n);
        if (seconds < 0) seconds = seconds_now() - start;
        uint64_t ran = __atomic_load_n(runs(), __ATOMIC_SEQ_CST) - before, expected = static_cast<uint64_t>(n) * static_cast<uint64_t>(runs_each);
        check(ran == expected, std::string(name) + ": " + std::to_string(ran) + " tasks ran, not " + std::to_string(expected));
        rows_ += std::string(rows_.empty() ? "" : ", ") + "\"" + name + "\": " + std::to_string(seconds / n * 1e6);
    }

    void write(const std::string &version)
    {
        fprintf(out_, "{\"version\": \"Ray %s, C++\", \"skipped\": {}, \"rows\": {%s}}\n", version.c_str(), rows_.c_str());
        if (fclose(out_) != 0) die("cannot write the answers");
    }

  private:
    FILE *out_;
    bool quick_;
    std::string rows_;
};

double sync(int n)
{
    for (int i = 0; i < n; i++) check(*ray::Get(ray::Task(peer_nop).Remote()) == NOP_VALUE, "no-op");
    return -1;
}

double bulk(int n)
{
    std::vector<ray::ObjectRef<int>> refs;
    for (int i = 0; i < n; i++) refs.push_back(ray::Task(peer_nop).Remote());
    for (const auto &x : ray::Get(refs)) check(*x == NOP_VALUE, "no-op");
    return -1;
}

double chain(int n)
{
    auto ref = ray::Task(peer_next).Remote(0);
    for (int i = 1; i < n; i++) ref = ray::Task(peer_next).Remote(ref);
    check(*ray::Get(ref) == n, "chain");
    return -1;
}

double put(int n)
{
    bytes_t bytes(MANY_BYTES, 1);
    double seconds = 0;
    for (int i = 0; i < n; i++) {
        int mark = i % 200 + 1;
        bytes.front() = bytes.back() = static_cast<unsigned char>(mark);
        double start = seconds_now();
        auto ref = ray::Put(bytes);
        seconds += seconds_now() - start;
        check(is_marked(*ray::Get(ref), mark), "put");
    }
    return seconds;
}

void measure_all(Cases &cases)
{
    cases.measure("task_sync", 1000, sync);
    cases.measure("task_async", 10000, bulk);
    cases.measure("chain", 3000, chain);
    cases.measure("put_64M", 5, put, 0);
    {
        auto made = ray::Task(peer_make).Remote(7);
        ray::Get(made);
        auto get = [&made](int n) {
            for (int i = 0; i < n; i++) check(is_marked(*ray::Get(made), 7), "get");
            return -1.0;
        };
        cases.measure("get_64M", 5, get, 0);
    }
    /* Last: an actor takes the worker's CPU. */
    auto counter = ray::Actor(PeerCounter::create).SetResource("CPU", 1.0).Remote();
    int last = 0;
    auto actor_sync = [&](int n) {
        for (int i = 0; i < n; i++) check(*ray::Get(counter.Task(&PeerCounter::add).Remote(1)) == ++last, "call of an actor");
        return -1.0;
    };
    auto actor_async = [&](int n) {
        std::vector<ray::ObjectRef<int>> refs;
        for (int i = 0; i < n; i++) refs.push_back(counter.Task(&PeerCounter::add).Remote(1));
        for (const auto &x : ray::Get(refs)) check(*x == ++last, "calls of an actor in order");
        return -1.0;
    };
    cases.measure("actor_sync", 1000, actor_sync);
    cases.measure("actor_async", 10000, actor_async);
}

} // namespace

int main(int argc, char **argv)
{
    if (argc < 5) die("usage: ray_cpp_peer OUT ADDRESS LIBRARY VERSION [--quick]");
    Cases cases(argv[1], argc > 5 && std::string(argv[5]) == "--quick");
    ray::RayConfig config;
    config.address = argv[2];
    config.code_search_path = {argv[3]};
    ray::Init(config);
    measure_all(cases);
    ray::Shutdown(); /* of this driver; the node is ray_cpp_peer.py's */
    cases.write(argv[4]);
    return 0;
}
