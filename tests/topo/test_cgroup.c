/* test_cgroup.c: quotas and memory limits, read from made-up trees of /proc and /sys/fs/cgroup. */
#include "cgroup.h"

#include <ftw.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char root[64];

static int make_root(void **state)
{
    (void)state;
    strcpy(root, "/tmp/mray-test-cgroup-XXXXXX");
    return mkdtemp(root) != NULL ? 0 : -1;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int remove_root(void **state)
{
    (void)state;
    return nftw(root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* Writes root/path, making its folders. */
static void put(const char *path, const char *text)
{
    char full[512];
    int n = snprintf(full, sizeof full, "%s/%s", root, path);
    assert_true(n < (int)sizeof full);
    for (char *p = full + strlen(root) + 1; (p = strchr(p, '/')) != NULL; p++) {
        *p = '\0';
        mkdir(full, 0700);
        *p = '/';
    }
    FILE *file = fopen(full, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void make_v2(void)
{
    put("proc/self/cgroup", "0::/a/b\n");
    put("proc/self/mountinfo", "22 1 0:5 / /proc rw,nosuid - proc proc rw\n"
                               "30 1 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n");
}

static topo_quota_t read_quota(void)
{
    topo_quota_t quota = {77, 77};
    topo_quota_read(root, &quota);
    return quota;
}

static void test_v2_tightest_level_wins(void **state)
{
    (void)state;
    make_v2();
    put("sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    put("sys/fs/cgroup/a/cpu.max", "250000 100000\n");
    topo_quota_t quota = read_quota();
    assert_int_equal(quota.quota_cores, 3);
    uint64_t group_a = quota.quota_group;
    assert_true(group_a != 0);
    put("sys/fs/cgroup/a/b/cpu.max", "50000 100000\n");
    quota = read_quota();
    assert_int_equal(quota.quota_cores, 1);
    assert_true(quota.quota_group != group_a);
    put("sys/fs/cgroup/a/b/cpu.max", "400000 100000\n");
    quota = read_quota();
    assert_int_equal(quota.quota_cores, 3);
    assert_true(quota.quota_group == group_a);
}

static void test_siblings_share_the_quota_above_them(void **state)
{
    (void)state;
    make_v2();
    put("sys/fs/cgroup/a/cpu.max", "200000 100000\n");
    put("sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    topo_quota_t first = read_quota();
    put("proc/self/cgroup", "0::/a/c\n");
    put("sys/fs/cgroup/a/c/cpu.max", "max 100000\n");
    topo_quota_t second = read_quota();
    assert_int_equal(second.quota_cores, 2);
    assert_true(first.quota_group == second.quota_group);
}

static void test_no_quota(void **state)
{
    (void)state;
    assert_int_equal(read_quota().quota_cores, 0);
    make_v2();
    assert_int_equal(read_quota().quota_cores, 0);
    put("sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    assert_int_equal(read_quota().quota_cores, 0);
    put("sys/fs/cgroup/a/b/cpu.max", "");
    assert_int_equal(read_quota().quota_cores, 0);
    put("sys/fs/cgroup/a/b/cpu.max", "100000 0\n");
    assert_int_equal(read_quota().quota_cores, 0);
    put("proc/self/mountinfo", "nonsense\n - \n1 2 3 - cgroup2\n");
    put("proc/self/cgroup", "nonsense\n:\n");
    assert_int_equal(read_quota().quota_cores, 0);
}

static void make_v1(const char *mount_root, const char *group)
{
    char text[512];
    snprintf(text, sizeof text, "5:memory:%s\n3:cpuset:/\n2:cpuacct,cpu:%s\n0::/\n", group, group);
    put("proc/self/cgroup", text);
    snprintf(text, sizeof text,
             "29 1 0:25 / /sys/fs/cgroup/unified rw - cgroup2 none rw\n"
             "30 1 0:26 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
             "31 1 0:27 %s /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpuacct,cpu\n"
             "32 1 0:28 %s /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
             mount_root, mount_root);
    put("proc/self/mountinfo", text);
}

static void test_v1_quota(void **state)
{
    (void)state;
    make_v1("/", "/job/step");
    put("sys/fs/cgroup/cpu/job/step/cpu.cfs_quota_us", "-1\n");
    put("sys/fs/cgroup/cpu/job/step/cpu.cfs_period_us", "100000\n");
    assert_int_equal(read_quota().quota_cores, 0);
    put("sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "150000\n");
    put("sys/fs/cgroup/cpu/job/cpu.cfs_period_us", "100000\n");
    assert_int_equal(read_quota().quota_cores, 2);
}

static void test_v1_container_sees_its_group_as_the_mount(void **state)
{
    (void)state;
    make_v1("/docker/abc", "/docker/abc");
    put("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "400000\n");
    put("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    assert_int_equal(read_quota().quota_cores, 4);
    make_v1("/docker/abc", "/docker/abc/inner");
    put("sys/fs/cgroup/cpu/inner/cpu.cfs_quota_us", "100000\n");
    put("sys/fs/cgroup/cpu/inner/cpu.cfs_period_us", "100000\n");
    assert_int_equal(read_quota().quota_cores, 1);
    make_v1("/docker/abc", "/docker/abcdef");
    assert_int_equal(read_quota().quota_cores, 4);
}

static void test_memory_is_the_least_of_all_levels(void **state)
{
    (void)state;
    assert_true(topo_memory_available_at(root) == UINT64_MAX);
    make_v2();
    put("proc/meminfo", "MemTotal:       16000 kB\nMemFree:  1 kB\nMemAvailable:    8000 kB\n");
    assert_int_equal(topo_memory_available_at(root), 8000 * 1024);
    put("sys/fs/cgroup/a/b/memory.max", "max\n");
    put("sys/fs/cgroup/a/b/memory.current", "1000\n");
    assert_int_equal(topo_memory_available_at(root), 8000 * 1024);
    put("sys/fs/cgroup/a/memory.max", "1000000\n");
    put("sys/fs/cgroup/a/memory.current", "600000\n");
    assert_int_equal(topo_memory_available_at(root), 400000);
    put("sys/fs/cgroup/a/memory.stat", "anon 5\nfile 300000\ninactive_file 200000\nactive_file 9\n");
    assert_int_equal(topo_memory_available_at(root), 600000);
    put("sys/fs/cgroup/a/memory.current", "1300000\n");
    assert_int_equal(topo_memory_available_at(root), 0);
}

static void test_v1_memory(void **state)
{
    (void)state;
    make_v1("/", "/job");
    put("proc/meminfo", "MemAvailable:    8000 kB\n");
    put("sys/fs/cgroup/memory/job/memory.limit_in_bytes", "5000000\n");
    put("sys/fs/cgroup/memory/job/memory.usage_in_bytes", "3000000\n");
    put("sys/fs/cgroup/memory/job/memory.stat", "inactive_file 7\ntotal_inactive_file 500000\n");
    put("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    put("sys/fs/cgroup/memory/memory.usage_in_bytes", "4000000\n");
    assert_int_equal(topo_memory_available_at(root), 2500000);
}

static void test_this_machine_has_memory(void **state)
{
    (void)state;
    assert_true(topo_memory_available() > 0);
    assert_true(topo_memory_available() < UINT64_C(1) << 60);
}

int main(void)
{
#define WITH_ROOT(test) cmocka_unit_test_setup_teardown(test, make_root, remove_root)
    const struct CMUnitTest tests[] = {
        WITH_ROOT(test_v2_tightest_level_wins),
        WITH_ROOT(test_siblings_share_the_quota_above_them),
        WITH_ROOT(test_no_quota),
        WITH_ROOT(test_v1_quota),
        WITH_ROOT(test_v1_container_sees_its_group_as_the_mount),
        WITH_ROOT(test_memory_is_the_least_of_all_levels),
        WITH_ROOT(test_v1_memory),
        cmocka_unit_test(test_this_machine_has_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
