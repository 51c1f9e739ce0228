/* machine.c: sets of PUs, distances, and the fingerprint of a machine. */
#include "machine.h"
#include "bits.h"
#include "hash.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static_assert(sizeof(topo_core_t) == 24, "topo_core_t is hashed as plain bytes: no padding");

void topo_cpuset_add(topo_cpuset_t *set, int value)
{
    if (value >= 0 && value < TOPO_MAX_PUS) set->bits[value / 64] |= UINT64_C(1) << (value % 64);
}

bool topo_cpuset_has(const topo_cpuset_t *set, int value)
{
    return value >= 0 && value < TOPO_MAX_PUS && (set->bits[value / 64] >> (value % 64) & 1);
}

int topo_cpuset_count(const topo_cpuset_t *set)
{
    int n = 0;
    for (int w = 0; w < TOPO_CPUSET_WORDS; w++) n += base_count_bits(set->bits[w]);
    return n;
}

void topo_cpuset_and(topo_cpuset_t *set, const topo_cpuset_t *other)
{
    for (int w = 0; w < TOPO_CPUSET_WORDS; w++) set->bits[w] &= other->bits[w];
}

bool topo_cpuset_equal(const topo_cpuset_t *a, const topo_cpuset_t *b)
{
    return memcmp(a->bits, b->bits, sizeof a->bits) == 0;
}

void topo_cpuset_format(const topo_cpuset_t *set, char *buf, size_t buf_bytes)
{
    char item[32];
    size_t len = 0;
    if (buf_bytes == 0) return;
    buf[0] = '\0';
    for (int i = 0; i < TOPO_MAX_PUS; i++) {
        if (!topo_cpuset_has(set, i)) continue;
        int first = i;
        while (topo_cpuset_has(set, i + 1)) i++;
        int n = first == i ? snprintf(item, sizeof item, "%s%d", len > 0 ? "," : "", i)
                           : snprintf(item, sizeof item, "%s%d-%d", len > 0 ? "," : "", first, i);
        /* 4 bytes stay free for the "..." of a list that goes on. */
        if (len + (size_t)n + 4 >= buf_bytes) {
            snprintf(buf + len, buf_bytes - len, "...");
            return;
        }
        memcpy(buf + len, item, (size_t)n + 1);
        len += (size_t)n;
    }
    if (len == 0) snprintf(buf, buf_bytes, "-");
}

/* One number 0..1023 at *text_p, moved past; -1 if there is none. */
static int parse_number(const char **text_p)
{
    const char *p = *text_p;
    int value = 0;
    if (*p < '0' || *p > '9') return -1;
    for (; *p >= '0' && *p <= '9'; p++) {
        value = value * 10 + (*p - '0');
        if (value >= TOPO_MAX_PUS) return -1;
    }
    *text_p = p;
    return value;
}

bool topo_cpuset_parse(const char *text, topo_cpuset_t *set)
{
    memset(set, 0, sizeof *set);
    for (;;) {
        int first = parse_number(&text);
        int last = first;
        if (first < 0) return false;
        if (*text == '-') {
            text++;
            last = parse_number(&text);
            if (last < first) return false;
        }
        for (int i = first; i <= last; i++) topo_cpuset_add(set, i);
        if (*text == '\0') return true;
        if (*text++ != ',') return false;
    }
}

int topo_distance(const topo_machine_t *machine, int core_a, int core_b)
{
    if (core_a < 0 || core_b < 0 || core_a >= machine->n_cores || core_b >= machine->n_cores) return TOPO_DIST_NODE;
    const topo_core_t *a = &machine->cores[core_a], *b = &machine->cores[core_b];
    if (core_a == core_b) return TOPO_DIST_CORE;
    if (a->cache >= 0 && a->cache == b->cache) return TOPO_DIST_CACHE;
    if (a->numa >= 0 && a->numa == b->numa) return TOPO_DIST_NUMA;
    if (a->package >= 0 && a->package == b->package) return TOPO_DIST_PACKAGE;
    return TOPO_DIST_NODE;
}

uint64_t topo_machine_hash(const topo_machine_t *machine)
{
    return base_hash64(machine->cores, (size_t)machine->n_cores * sizeof machine->cores[0]);
}
