/* timeline_json.c: names, numbers, commas. */
#include "timeline_json.h"

#include "functions.h"

#include <errno.h>
#include <mray/init.h>
#include <mray/status.h>
#include <stdarg.h>
#include <string.h>

enum { MAX_NAME = 512 };

/* Bytes of the UTF-8 sequence at p, 0 if there is none. */
static int utf8_bytes(const unsigned char *p)
{
    int n = p[0] < 0x80 ? 1 : p[0] >= 0xc2 && p[0] < 0xe0 ? 2 : (p[0] & 0xf0) == 0xe0 ? 3 : p[0] >= 0xf0 && p[0] < 0xf5 ? 4 : 0;
    for (int i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80) return 0;
    bool overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
    bool no_character = (p[0] == 0xed && p[1] >= 0xa0) || (p[0] == 0xf4 && p[1] >= 0x90);
    return overlong || no_character ? 0 : n;
}

void timeline_json_escape(const char *text, char *buf, size_t buf_bytes)
{
    size_t used = 0;
    for (const unsigned char *p = (const unsigned char *)text; *p != 0;) {
        char piece[8];
        int n = utf8_bytes(p);
        if (n == 0) snprintf(piece, sizeof piece, "\\ufffd");
        else if (*p == '"' || *p == '\\') snprintf(piece, sizeof piece, "\\%c", *p);
        else if (*p < 0x20 || *p == 0x7f) snprintf(piece, sizeof piece, "\\u%04x", *p);
        else snprintf(piece, sizeof piece, "%.*s", n, (const char *)p);
        size_t bytes = strlen(piece);
        if (used + bytes >= buf_bytes) break;
        memcpy(buf + used, piece, bytes);
        used += bytes;
        p += n > 0 ? n : 1;
    }
    if (buf_bytes > 0) buf[used] = 0;
}

__attribute__((format(printf, 2, 3))) static void print(timeline_json_t *json, const char *fmt, ...)
{
    if (json->error != 0) return;
    va_list ap;
    va_start(ap, fmt);
    errno = 0;
    if (vfprintf(json->out, fmt, ap) < 0) json->error = errno != 0 ? errno : EIO;
    va_end(ap);
}

static void next(timeline_json_t *json)
{
    print(json, "%s", json->any ? ",\n" : "\n");
    json->any = true;
}

void timeline_json_begin(timeline_json_t *json, FILE *out, uint64_t origin_ns)
{
    *json = (timeline_json_t){.out = out, .origin_ns = origin_ns};
    print(json, "{\"displayTimeUnit\": \"ns\", \"traceEvents\": [");
}

void timeline_json_process(timeline_json_t *json, int rank, const char *host)
{
    char name[MAX_NAME];
    timeline_json_escape(host, name, sizeof name);
    next(json);
    print(json, "{\"ph\": \"M\", \"name\": \"process_name\", \"pid\": %d, \"args\": {\"name\": \"rank %d on %s\"}}", rank, rank, name);
    next(json);
    print(json, "{\"ph\": \"M\", \"name\": \"process_sort_index\", \"pid\": %d, \"args\": {\"sort_index\": %d}}", rank, rank);
}

void timeline_json_thread(timeline_json_t *json, int rank, unsigned tid, const char *what)
{
    next(json);
    print(json, "{\"ph\": \"M\", \"name\": \"thread_name\", \"pid\": %d, \"tid\": %u, \"args\": {\"name\": \"%s %u\"}}", rank, tid, what, tid);
    next(json);
    print(json, "{\"ph\": \"M\", \"name\": \"thread_sort_index\", \"pid\": %d, \"tid\": %u, \"args\": {\"sort_index\": %u}}", rank, tid, tid);
}

/* Microseconds with all three decimals. */
#define US "%llu.%03u"
#define US_OF(ns) (unsigned long long)(ns) / 1000, (unsigned)((ns) % 1000)

static void interval(timeline_json_t *json, int rank, unsigned tid, uint64_t begin_ns, uint64_t end_ns)
{
    uint64_t begin = begin_ns > json->origin_ns ? begin_ns - json->origin_ns : 0, end = end_ns > json->origin_ns ? end_ns - json->origin_ns : 0;
    uint64_t dur = end > begin ? end - begin : 0;
    print(json, "\"ph\": \"X\", \"pid\": %d, \"tid\": %u, \"ts\": " US ", \"dur\": " US, rank, tid, US_OF(begin), US_OF(dur));
}

void timeline_json_session(timeline_json_t *json, unsigned tid, uint64_t begin_ns, uint64_t end_ns)
{
    timeline_json_thread(json, 0, tid, "driver");
    next(json);
    print(json, "{\"name\": \"session\", \"cat\": \"session\", ");
    interval(json, 0, tid, begin_ns, end_ns);
    print(json, "}");
}

static const char *category(const trace_event_t *event)
{
    unsigned kind = event->kind & ~TIMELINE_APPROXIMATE;
    return kind == RECORD_METHOD ? "method" : kind == RECORD_ACTOR ? "constructor" : "task";
}

void timeline_json_task(timeline_json_t *json, int rank, unsigned tid, const trace_event_t *event)
{
    char name[MAX_NAME];
    const mray_function *f = functions_at(event->fn);
    timeline_json_escape(f != NULL ? f->name : "?", name, sizeof name);
    next(json);
    print(json, "{\"name\": \"%s\", \"cat\": \"%s\", ", name, category(event));
    interval(json, rank, tid, event->begin, event->end);
    print(json, ", \"args\": {\"ref\": \"%u.%u.%u\", \"attempt\": %u", event->rank, event->slot, event->gen, event->attempt);
    if ((event->kind & TIMELINE_APPROXIMATE) != 0) print(json, ", \"approximate\": true");
    if (event->actor != 0) print(json, ", \"actor\": %u", event->actor);
    if (event->status == TRACE_UNFINISHED) print(json, ", \"unfinished\": true");
    else if (event->status != MRAY_OK) print(json, ", \"status\": \"%s\"", mray_status_name(event->status));
    print(json, "}%s}", event->status != MRAY_OK ? ", \"cname\": \"terrible\"" : "");
    json->n_events++;
}

void timeline_json_end(timeline_json_t *json, const timeline_facts_t *facts)
{
    print(json,
          "\n], \"otherData\": {\"mray\": \"%s\", \"ranks\": %d, \"hosts\": %d, \"tasks\": %llu, \"lost_events\": %llu, \"ranks_missing\": %u, "
          "\"clock_error_us\": " US ", \"start_monotonic_ns\": %llu, \"session_us\": " US "}}\n",
          MRAY_VERSION_STRING, facts->n_ranks, facts->n_hosts, (unsigned long long)json->n_events, (unsigned long long)facts->lost, facts->n_ranks_missing,
          US_OF(facts->clock_error_ns), (unsigned long long)json->origin_ns, US_OF(facts->end_ns - json->origin_ns));
}
