/* cgroup.c: finds the groups of this process and reads limits at every level from its own up to the mount point.
 *
 * /proc/self/cgroup names the group within its hierarchy, /proc/self/mountinfo says where that hierarchy is mounted and
 * which of its groups is the root of the mount (a container often sees only its own). Version 1 has one hierarchy a
 * controller; version 2 has one for all. A controller that version 1 holds is looked up there, any other in version 2. */
#include "cgroup.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* One hierarchy as this process sees it. */
typedef struct {
    bool v2;
    char mount[PATH_MAX]; /* with sysroot in front */
    char dir[PATH_MAX];   /* this process's group: mount, or a folder below it */
} hierarchy_t;

/* Called at each level, own group first. */
typedef void (*level_fn)(const char *dir, bool v2, void *ctx);

/* True if the comma-separated list has word. */
static bool list_has(const char *list, const char *word)
{
    size_t len = strlen(word);
    for (const char *p = list; (p = strstr(p, word)) != NULL; p += len)
        if ((p == list || p[-1] == ',') && (p[len] == ',' || p[len] == '\0')) return true;
    return false;
}

/* Path of the process's group in the hierarchy of controller (v1) or in the unified one (controller NULL). */
static bool find_group(const char *sysroot, const char *controller, char *path, size_t path_bytes)
{
    char name[PATH_MAX], line[PATH_MAX + 256];
    bool found = false;
    snprintf(name, sizeof name, "%s/proc/self/cgroup", sysroot);
    FILE *file = fopen(name, "re");
    if (file == NULL) return false;
    while (!found && fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        char *list = strchr(line, ':');
        char *group = list != NULL ? strchr(list + 1, ':') : NULL;
        if (group == NULL) continue;
        *list++ = '\0';
        *group++ = '\0';
        found = controller != NULL ? list_has(list, controller) : list[0] == '\0';
        if (found) snprintf(path, path_bytes, "%s", group);
    }
    fclose(file);
    return found;
}

/* Splits a line of mountinfo: "36 35 0:31 ROOT MOUNT rw,... - TYPE SOURCE OPTIONS". */
static bool split_mount(char *line, char **root_p, char **mount_p, char **type_p, char **options_p)
{
    char *save = NULL, *tail = strstr(line, " - ");
    if (tail == NULL) return false;
    *tail = '\0';
    char *field = strtok_r(line, " ", &save);
    for (int i = 0; i < 3 && field != NULL; i++) field = strtok_r(NULL, " ", &save);
    *root_p = field;
    *mount_p = strtok_r(NULL, " ", &save);
    *type_p = strtok_r(tail + 3, " \n", &save);
    char *source = strtok_r(NULL, " \n", &save);
    *options_p = strtok_r(NULL, " \n", &save);
    return *root_p != NULL && *mount_p != NULL && *type_p != NULL && source != NULL && *options_p != NULL;
}

/* Fills h from the mount that holds the group; false if that hierarchy is not mounted here. */
static bool find_mount(const char *sysroot, const char *controller, const char *group, hierarchy_t *h)
{
    char name[PATH_MAX], line[2 * PATH_MAX];
    char *root, *mount, *type, *options;
    bool found = false;
    snprintf(name, sizeof name, "%s/proc/self/mountinfo", sysroot);
    FILE *file = fopen(name, "re");
    if (file == NULL) return false;
    while (!found && fgets(line, sizeof line, file) != NULL) {
        if (!split_mount(line, &root, &mount, &type, &options)) continue;
        found = controller == NULL ? strcmp(type, "cgroup2") == 0
                                   : strcmp(type, "cgroup") == 0 && list_has(options, controller);
        if (!found) continue;
        size_t skip = strcmp(root, "/") == 0 ? 0 : strlen(root);
        bool below = strncmp(group, root, skip) == 0 && (group[skip] == '/' || group[skip] == '\0');
        if (strncmp(group, "/..", 3) == 0) below = false; /* outside of the cgroup namespace */
        const char *rest = below && strcmp(group + skip, "/") != 0 ? group + skip : "";
        h->v2 = controller == NULL;
        int n = snprintf(h->mount, sizeof h->mount, "%s%s", sysroot, mount);
        int m = snprintf(h->dir, sizeof h->dir, "%s%s%s", sysroot, mount, rest);
        found = n < (int)sizeof h->mount && m < (int)sizeof h->dir;
    }
    fclose(file);
    return found;
}

/* Calls fn for the process's group under controller and each group above it. */
static void each_level(const char *sysroot, const char *controller, level_fn fn, void *ctx)
{
    char group[PATH_MAX];
    hierarchy_t *h = malloc(sizeof *h);
    if (h == NULL) return;
    bool found = find_group(sysroot, controller, group, sizeof group) && find_mount(sysroot, controller, group, h);
    if (!found) found = find_group(sysroot, NULL, group, sizeof group) && find_mount(sysroot, NULL, group, h);
    size_t least = found ? strlen(h->mount) : 0;
    while (found) {
        fn(h->dir, h->v2, ctx);
        char *slash = strrchr(h->dir, '/');
        if (slash == NULL || (size_t)(slash - h->dir) < least) break;
        *slash = '\0';
    }
    free(h);
}

/* First bytes of dir/name as text; false if it cannot be read. */
static bool read_text(const char *dir, const char *name, char *text, size_t text_bytes)
{
    char path[PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *file = fopen(path, "re");
    if (file == NULL) return false;
    size_t n = fread(text, 1, text_bytes - 1, file);
    text[n] = '\0';
    fclose(file);
    return n > 0;
}

/* Value after "key " at the start of a line of text; 0 if there is none. */
static uint64_t find_value(const char *text, const char *key)
{
    size_t len = strlen(key);
    for (const char *p = text; p != NULL; p = strchr(p, '\n')) {
        if (*p == '\n') p++;
        if (strncmp(p, key, len) == 0 && (p[len] == ' ' || p[len] == '\t')) return strtoull(p + len, NULL, 10);
    }
    return 0;
}

static void quota_level(const char *dir, bool v2, void *ctx)
{
    topo_quota_t *quota = ctx;
    char text[128], period_text[64];
    long long us = -1, period_us = 0;
    if (v2) {
        if (!read_text(dir, "cpu.max", text, sizeof text)) return;
        if (sscanf(text, "%lld %lld", &us, &period_us) != 2) return; /* "max 100000" */
    } else {
        if (!read_text(dir, "cpu.cfs_quota_us", text, sizeof text)) return;
        if (!read_text(dir, "cpu.cfs_period_us", period_text, sizeof period_text)) return;
        us = strtoll(text, NULL, 10); /* -1: none */
        period_us = strtoll(period_text, NULL, 10);
    }
    if (us <= 0 || period_us <= 0) return;
    long long cores = us / period_us + (us % period_us != 0);
    if (cores > INT_MAX || (quota->quota_cores != 0 && cores >= quota->quota_cores)) return;
    struct stat st;
    /* The inode of a group's folder is one number for all who see it, whatever path they see it under. */
    quota->quota_cores = (int)cores;
    quota->quota_group = stat(dir, &st) == 0 ? (uint64_t)st.st_ino * UINT64_C(0x9e3779b97f4a7c15) ^ (uint64_t)st.st_dev : 1;
    if (quota->quota_group == 0) quota->quota_group = 1;
}

void topo_quota_read(const char *sysroot, topo_quota_t *quota_p)
{
    *quota_p = (topo_quota_t){0};
    each_level(sysroot, "cpu", quota_level, quota_p);
}

static void memory_level(const char *dir, bool v2, void *ctx)
{
    uint64_t *left = ctx;
    char text[8192];
    if (!read_text(dir, v2 ? "memory.max" : "memory.limit_in_bytes", text, sizeof text)) return;
    if (text[0] < '0' || text[0] > '9') return; /* "max" */
    uint64_t limit = strtoull(text, NULL, 10);
    if (!read_text(dir, v2 ? "memory.current" : "memory.usage_in_bytes", text, sizeof text)) return;
    uint64_t used = strtoull(text, NULL, 10), inactive = 0;
    if (read_text(dir, "memory.stat", text, sizeof text))
        inactive = find_value(text, v2 ? "inactive_file" : "total_inactive_file");
    used = used > inactive ? used - inactive : 0;
    uint64_t here = limit > used ? limit - used : 0;
    if (here < *left) *left = here;
}

uint64_t topo_memory_available_at(const char *sysroot)
{
    char text[8192], dir[PATH_MAX];
    uint64_t left = UINT64_MAX;
    snprintf(dir, sizeof dir, "%s/proc", sysroot);
    if (read_text(dir, "meminfo", text, sizeof text)) {
        uint64_t kib = find_value(text, "MemAvailable:");
        if (kib > 0) left = kib * 1024;
    }
    each_level(sysroot, "memory", memory_level, &left);
    return left;
}

uint64_t topo_memory_available(void)
{
    return topo_memory_available_at("");
}
