/* config.c: the table of settings, and what reads and prints it.
 *
 * A row says everything there is to say about a setting; the loader, its error sentences, config_print() and docs/guide/configuration.md (compared
 * by tests/base/test_config.c) follow from it. Adding a setting is a field in config_t and a row here. */
#include "config.h"
#include "error.h"

#include <stdlib.h>
#include <string.h>

typedef enum { CFG_COUNT, CFG_BYTES, CFG_CHOICE, CFG_TEXT, CFG_BOOL } cfg_kind_t;

/* For CFG_CHOICE and CFG_BOOL `choices` lists what is possible, NULL-terminated, and `dflt` is an index into it. Where
 * `dflt` of a number is below `min` it is 0, which stands for "decided at start" and is possible, too. */
typedef struct {
    const char *name;
    const char *variable;
    cfg_kind_t kind;
    size_t offset;
    uint64_t dflt, min, max;
    const char *const *choices;
    const char *unit; /* also the form of a text */
    const char *help;
} cfg_row_t;

static const char *const workers_choices[] = {"process", "thread", NULL};
static const char *const log_choices[] = {"error", "warn", "info", "debug", NULL};
static const char *const bulk_choices[] = {"auto", "rma", "pull", NULL};
static const char *const bool_choices[] = {"0", "1", NULL};

#define FIELD(f) #f, .offset = offsetof(config_t, f)
static const cfg_row_t rows[] = {
    {FIELD(store_bytes), .variable = "MRAY_STORE_BYTES", .kind = CFG_BYTES, .min = 1 << 20, .max = (uint64_t)1 << 46, .unit = "bytes",
     .help = "object store of each rank; 0: 30% of the node's free memory, shared among its ranks"},
    {FIELD(num_workers), .variable = "MRAY_NUM_WORKERS", .kind = CFG_COUNT, .min = 1, .max = 224,
     .help = "workers of each rank; 0: one a core of its share"},
    {FIELD(workers), .variable = "MRAY_WORKERS", .kind = CFG_CHOICE, .choices = workers_choices,
     .help = "what executes tasks: a process each, or a thread of the rank each"},
    {FIELD(log), .variable = "MRAY_LOG", .kind = CFG_CHOICE, .dflt = 1, .choices = log_choices, .help = "least level of the lines printed to stderr"},
    {FIELD(resources), .variable = "MRAY_RESOURCES", .kind = CFG_TEXT, .unit = "name=amount,...", .help = "custom resources of each rank"},
    {FIELD(max_tasks), .variable = "MRAY_MAX_TASKS", .kind = CFG_COUNT, .dflt = 2097152, .min = 1024, .max = 16777216,
     .help = "tasks of a rank that may be submitted and not finished"},
    {FIELD(max_objects), .variable = "MRAY_MAX_OBJECTS", .kind = CFG_COUNT, .dflt = 4194304, .min = 1024, .max = 16777216,
     .help = "objects a rank may own at a time"},
    {FIELD(store_full_ms), .variable = "MRAY_STORE_FULL_TIMEOUT", .kind = CFG_COUNT, .dflt = 10000, .max = 86400000, .unit = "ms",
     .help = "how long a put waits for room before it fails with ERR_OBJECT_STORE_FULL"},
    {FIELD(unschedulable_ms), .variable = "MRAY_UNSCHEDULABLE_TIMEOUT", .kind = CFG_COUNT, .dflt = 5000, .max = 86400000, .unit = "ms",
     .help = "how long a task may wait for resources that no node has before it fails"},
    {FIELD(node_suspect_ms), .variable = "MRAY_NODE_SUSPECT_TIMEOUT", .kind = CFG_COUNT, .dflt = 10000, .min = 100, .max = 86400000, .unit = "ms",
     .help = "after how long a silence a rank is reported as suspect"},
    {FIELD(node_dead_ms), .variable = "MRAY_NODE_DEAD_TIMEOUT", .kind = CFG_COUNT, .dflt = 60000, .max = 86400000, .unit = "ms",
     .help = "after how long a silence a rank of another node is given up as dead; 0: never"},
    {FIELD(bulk), .variable = "MRAY_BULK", .kind = CFG_CHOICE, .choices = bulk_choices,
     .help = "how payloads travel between nodes; auto: the faster of MPI_Rget and messages, as measured at start"},
    {FIELD(fake_node_ranks), .variable = "MRAY_FAKE_NODE_RANKS", .kind = CFG_COUNT, .min = 1, .max = 65536,
     .help = "for tests: every so many consecutive ranks are taken for a node of their own; 0: nodes are hosts"},
    {FIELD(print_binding), .variable = "MRAY_PRINT_BINDING", .kind = CFG_BOOL, .choices = bool_choices,
     .help = "1: print which cores each rank and worker is bound to"},
    {FIELD(print_config), .variable = "MRAY_PRINT_CONFIG", .kind = CFG_BOOL, .choices = bool_choices, .help = "1: print this table"},
    {FIELD(trace), .variable = "MRAY_TRACE", .kind = CFG_TEXT, .unit = "a file's name",
     .help = "where rank 0 writes the timeline of the session's tasks, for Perfetto or chrome://tracing; empty: no timeline"},
    {FIELD(trace_events), .variable = "MRAY_TRACE_EVENTS", .kind = CFG_COUNT, .dflt = 65536, .min = 1024, .max = 16777216,
     .help = "tasks of each worker that the timeline holds, the last ones, 40 bytes each; rounded up to a power of 2"},
    {FIELD(bind), .variable = "MRAY_BIND", .kind = CFG_BOOL, .dflt = 1, .choices = bool_choices,
     .help = "1: bind workers to cores where each can have its own"},
};
#undef FIELD
enum { N_ROWS = sizeof rows / sizeof rows[0] };

/* What the last config_load() found: texts are kept here, so that they do not change with the environment, and config_print() can tell
 * where a value comes from. Guarded by being called from the initialising thread only. */
static struct {
    config_t config;
    bool from_environment[N_ROWS];
    char *texts[N_ROWS];
} loaded;

bool config_parse_bytes(const char *text, uint64_t *bytes_p)
{
    static const char suffixes[] = "KMGT";
    enum { MAX_FRACTION_DIGITS = 6 }; /* 10^6 * 2^40 fits in 64 bits */
    const char *p = text;
    uint64_t whole = 0, fraction = 0, scale = 1;
    if (*p < '0' || *p > '9') return false;
    for (; *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(whole, 10, &whole) || __builtin_add_overflow(whole, (uint64_t)(*p - '0'), &whole)) return false;
    bool has_fraction = *p == '.';
    if (has_fraction) {
        const char *start = ++p;
        for (; *p >= '0' && *p <= '9'; p++, scale *= 10) {
            if (p - start == MAX_FRACTION_DIGITS) return false;
            fraction = fraction * 10 + (uint64_t)(*p - '0');
        }
        if (p == start) return false;
    }
    uint64_t unit = 1;
    if (*p != '\0') {
        const char *suffix = strchr(suffixes, *p >= 'a' && *p <= 'z' ? *p - 'a' + 'A' : *p);
        if (suffix == NULL || p[1] != '\0') return false;
        unit = (uint64_t)1 << (10 * (suffix - suffixes + 1));
    } else if (has_fraction) {
        return false;
    }
    uint64_t bytes;
    if (__builtin_mul_overflow(whole, unit, &bytes) || __builtin_add_overflow(bytes, fraction * unit / scale, &bytes)) return false;
    *bytes_p = bytes;
    return true;
}

/* ---- values as text ---- */

/* The shortest exact form: 64M, not 67108864. */
static void format_bytes(uint64_t bytes, char *buf, size_t buf_bytes)
{
    static const char *const suffixes[] = {"", "K", "M", "G", "T"};
    int shift = 0;
    while (shift < 4 && bytes != 0 && bytes % 1024 == 0) {
        bytes /= 1024;
        shift++;
    }
    snprintf(buf, buf_bytes, "%llu%s", (unsigned long long)bytes, suffixes[shift]);
}

static void format_number(const cfg_row_t *row, uint64_t value, char *buf, size_t buf_bytes)
{
    if (row->kind == CFG_BYTES) format_bytes(value, buf, buf_bytes);
    else snprintf(buf, buf_bytes, "%llu", (unsigned long long)value);
}

static void format_value(const cfg_row_t *row, const config_t *config, char *buf, size_t buf_bytes)
{
    const void *field = (const char *)config + row->offset;
    switch (row->kind) {
    case CFG_COUNT:
    case CFG_BYTES: format_number(row, *(const uint64_t *)field, buf, buf_bytes); break;
    case CFG_CHOICE:
    case CFG_TEXT: {
        const char *text = *(const char *const *)field;
        snprintf(buf, buf_bytes, "%s", text != NULL ? text : "");
        break;
    }
    case CFG_BOOL: snprintf(buf, buf_bytes, "%d", *(const bool *)field); break;
    }
}

/* What is possible: "0, 1M .. 64T bytes", "process, thread". */
static void format_range(const cfg_row_t *row, char *buf, size_t buf_bytes)
{
    if (row->kind == CFG_COUNT || row->kind == CFG_BYTES) {
        char min[32], max[32];
        format_number(row, row->min, min, sizeof min);
        format_number(row, row->max, max, sizeof max);
        snprintf(buf, buf_bytes, "%s%s .. %s%s%s", row->dflt < row->min ? "0, " : "", min, max, row->unit ? " " : "", row->unit ? row->unit : "");
    } else if (row->choices != NULL) {
        size_t len = 0;
        for (int i = 0; row->choices[i] != NULL && len < buf_bytes; i++)
            len += (size_t)snprintf(buf + len, buf_bytes - len, "%s%s", i > 0 ? ", " : "", row->choices[i]);
    } else {
        snprintf(buf, buf_bytes, "%s", row->unit);
    }
}

/* ---- loading ---- */

static void set_default(const cfg_row_t *row, config_t *config)
{
    void *field = (char *)config + row->offset;
    switch (row->kind) {
    case CFG_COUNT:
    case CFG_BYTES: *(uint64_t *)field = row->dflt; break;
    case CFG_CHOICE: *(const char **)field = row->choices[row->dflt]; break;
    case CFG_TEXT: *(const char **)field = ""; break;
    case CFG_BOOL: *(bool *)field = row->dflt != 0; break;
    }
}

static bool parse_number(const cfg_row_t *row, const char *text, uint64_t *value_p)
{
    uint64_t value;
    if (row->kind == CFG_COUNT && text[strspn(text, "0123456789")] != '\0') return false;
    if (!config_parse_bytes(text, &value)) return false;
    bool decided_at_start = value == 0 && row->dflt < row->min;
    if (!decided_at_start && (value < row->min || value > row->max)) return false;
    *value_p = value;
    return true;
}

static bool parse_value(const cfg_row_t *row, const char *text, char **text_p, void *field)
{
    switch (row->kind) {
    case CFG_COUNT:
    case CFG_BYTES: return parse_number(row, text, field);
    case CFG_CHOICE:
    case CFG_BOOL:
        for (int i = 0; row->choices[i] != NULL; i++) {
            if (strcmp(text, row->choices[i]) != 0) continue;
            if (row->kind == CFG_BOOL) *(bool *)field = i != 0;
            else *(const char **)field = row->choices[i];
            return true;
        }
        return false;
    case CFG_TEXT:
        *text_p = strdup(text);
        *(const char **)field = *text_p;
        return *text_p != NULL;
    }
    return false;
}

int config_load(config_t *config_p)
{
    config_t config = {0};
    for (int i = 0; i < N_ROWS; i++) {
        const cfg_row_t *row = &rows[i];
        set_default(row, &config);
        loaded.from_environment[i] = false;
        free(loaded.texts[i]);
        loaded.texts[i] = NULL;
        const char *text = getenv(row->variable);
        if (text == NULL || text[0] == '\0') continue;
        if (!parse_value(row, text, &loaded.texts[i], (char *)&config + row->offset)) {
            if (row->kind == CFG_TEXT) return base_error(MRAY_ERR_OUT_OF_MEMORY, "no memory to copy %s", row->variable);
            char range[128];
            format_range(row, range, sizeof range);
            return base_error(MRAY_ERR_INVALID_ARGUMENT, "%s=%.100s is not possible; possible: %s%s", row->variable, text, range,
                              row->kind == CFG_BYTES ? ", with K, M, G or T for powers of 1024" : "");
        }
        loaded.from_environment[i] = true;
    }
    loaded.config = config;
    *config_p = config;
    return MRAY_OK;
}

/* ---- printing ---- */

/* Where value, as text, of row i comes from; "program" where the caller of config_load() changed it. */
static const char *source_of(int i, const char *value)
{
    char other[256];
    config_t defaults = {0};
    format_value(&rows[i], &loaded.config, other, sizeof other);
    if (loaded.from_environment[i] && strcmp(other, value) == 0) return "environment";
    set_default(&rows[i], &defaults);
    format_value(&rows[i], &defaults, other, sizeof other);
    return strcmp(other, value) == 0 ? "default" : "program";
}

void config_print(const config_t *config, FILE *out)
{
    fprintf(out, "| %-26s | %-7s | %-11s | %-25s | what |\n|---|---|---|---|---|\n", "variable", "value", "from", "possible");
    for (int i = 0; i < N_ROWS; i++) {
        char value[256], range[128];
        format_value(&rows[i], config, value, sizeof value);
        format_range(&rows[i], range, sizeof range);
        fprintf(out, "| %-26s | %-7s | %-11s | %-25s | %s |\n", rows[i].variable, value, source_of(i, value), range, rows[i].help);
    }
}
