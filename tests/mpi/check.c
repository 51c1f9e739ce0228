/* check.c: see check.h. */
#include "check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { MAX_PRINTED = 40 };
static _Atomic int n_failed;
static double started;

void check_failed(const char *file, int line, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (atomic_fetch_add(&n_failed, 1) < MAX_PRINTED) fprintf(stderr, "%s:%d: %s (last error: %s)\n", file, line, text, mray_error_message());
}

static _Thread_local char forgotten[512];

void check_forget_sentence(void)
{
    (void)mray_task_current(NULL);
    snprintf(forgotten, sizeof forgotten, "%s", mray_error_message());
}

bool check_sentence_has(const char *word)
{
    const char *sentence = mray_error_message();
    return strcasestr(sentence, word) != NULL && strcmp(sentence, forgotten) != 0;
}

int check_early_rank(void)
{
    static const char *const names[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (getenv(names[i]) != NULL) return atoi(getenv(names[i]));
    return 0;
}

void check_init(int *argc, char ***argv, const mray_init_opts *opts)
{
    static char name[32];
    static mray_resource resource = {.name = name, .amount = 1000};
    snprintf(name, sizeof name, "rank%d", check_early_rank());
    mray_init_opts own = opts != NULL ? *opts : (mray_init_opts){0};
    if (own.n_resources == 0) {
        own.resources = &resource;
        own.n_resources = 1;
    }
    if (started == 0) started = check_seconds();
    int status = mray_init(argc, argv, &own);
    if (status == MRAY_OK) return;
    fprintf(stderr, "mray_init: %s: %s\n", mray_status_name(status), mray_error_message());
    exit(1);
}

static char folder[64];

check_file check_file_of(const char *name)
{
    check_file file;
    if (folder[0] == 0) {
        snprintf(folder, sizeof folder, "/tmp/mray-test-XXXXXX");
        if (mkdtemp(folder) == NULL) check_failed(__FILE__, __LINE__, "%s: %s", folder, strerror(errno));
    }
    snprintf(file.text, sizeof file.text, "%s/%s", folder, name);
    return file;
}

long check_marks(check_file file)
{
    struct stat st;
    return stat(file.text, &st) == 0 ? (long)st.st_size : 0;
}

long check_mark(check_file file)
{
    int fd = open(file.text, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, "x", 1) != 1) {
        perror(file.text);
        _exit(99);
    }
    close(fd);
    return check_marks(file);
}

static void remove_folder(void)
{
    DIR *dir = folder[0] != 0 ? opendir(folder) : NULL;
    if (dir == NULL) return;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        if (entry->d_name[0] != '.') (void)unlinkat(dirfd(dir), entry->d_name, 0);
    closedir(dir);
    CHECK(rmdir(folder) == 0);
}

int check_finish(void)
{
    remove_folder();
    if (mray_is_initialized()) CHECK_OK(mray_finalize());
    int n = atomic_load(&n_failed);
    printf("%s: %d failures, %.2f s\n", program_invocation_short_name, n, started > 0 ? check_seconds() - started : 0);
    return n == 0 ? 0 : 1;
}

int check_num_ranks(void)
{
    mray_info info;
    CHECK_OK(mray_get_info(&info));
    return info.num_ranks;
}

int check_worker_rank(int k)
{
    int n = check_num_ranks();
    return n == 1 ? 0 : 1 + k % (n - 1);
}

mray_task_opts check_on_rank(int rank)
{
    static _Thread_local char name[32];
    snprintf(name, sizeof name, "rank%d", rank);
    return (mray_task_opts){.num_cpus = MRAY_NO_CPU, .resource = name};
}

MRAY_TASK(uint64_t, check_store_used_here)
{
    mray_info info;
    return mray_get_info(&info) == MRAY_OK ? info.store_used : UINT64_MAX;
}

size_t check_store_used(void)
{
    int n = check_num_ranks();
    mray_info info;
    CHECK_OK(mray_get_info(&info));
    size_t sum = info.store_used;
    for (int rank = 1; rank < n; rank++) {
        uint64_t used = 0;
        mray_ref ref = mray_remote_with(check_on_rank(rank), check_store_used_here);
        CHECK_OK(mray_get(ref, &used));
        CHECK_OK(mray_release(ref));
        sum += used;
    }
    return sum;
}

int check_tasks_left(void)
{
    static char text[1 << 16];
    int sum = 0, n_lines = 0;
    (void)mray_status_report(text, sizeof text);
    for (const char *at = text; (at = strstr(at, " tasks")) != NULL; at += 6, n_lines++) {
        const char *number = at;
        while (number > text && number[-1] >= '0' && number[-1] <= '9') number--;
        sum += atoi(number);
    }
    return n_lines > 0 ? sum : -1;
}

bool check_store_settles(size_t used_before)
{
    size_t used = 0;
    for (double end = check_seconds() + 2; check_seconds() < end; nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL))
        if ((used = check_store_used()) <= used_before && check_tasks_left() == 0) return true;
    fprintf(stderr, "stores: %zu bytes used, %zu before; %d tasks left\n", used, used_before, check_tasks_left());
    return false;
}

int check_done(mray_ref ref)
{
    mray_view view;
    int status = mray_get_view(ref, MRAY_FOREVER, &view);
    if (status == MRAY_OK) mray_view_release(&view);
    return status;
}

size_t check_read_proc(const char *pid, const char *name, char *buf, size_t n)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%.16s/%s", pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, buf, n - 1) : 0;
    if (fd >= 0) close(fd);
    buf[got > 0 ? got : 0] = 0;
    return got > 0 ? (size_t)got : 0;
}

bool check_is_of_run(const char *pid)
{
    static _Thread_local char environment[65536];
    char mark[256];
    snprintf(mark, sizeof mark, "MRAY_TEST_ID=%s", getenv("MRAY_TEST_ID"));
    size_t n = check_read_proc(pid, "environ", environment, sizeof environment);
    for (const char *p = environment; p < environment + n; p += strlen(p) + 1)
        if (strcmp(p, mark) == 0) return true;
    return false;
}

double check_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

uint64_t check_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

uint64_t check_mix(uint64_t a, uint64_t b)
{
    uint64_t state = a * 0x2545f4914f6cdd1du + b;
    return check_random(&state);
}

uint64_t check_seed(void)
{
    const char *text = getenv("MRAY_TEST_SEED");
    uint64_t clock_bits = (uint64_t)(check_seconds() * 1e9) ^ (uint64_t)getpid() << 32;
    uint64_t seed = text != NULL ? strtoull(text, NULL, 0) : check_random(&clock_bits) >> 32;
    printf("seed %llu (MRAY_TEST_SEED repeats it)\n", (unsigned long long)seed);
    fflush(stdout);
    return seed;
}
