/* options.c: see options.h. One table of options, from which parsing, checks and the help text come. */
#include "options.h"

#include "chunk.h"
#include "score.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

_Static_assert((int)ALIGN_CHUNK_RESIDUES_MAX_OPTION <= (int)ALIGN_CHUNK_RESIDUES_MAX, "a chunk can hold what the option allows");

enum kind { TEXT, NUMBER_32, NUMBER_64 };

struct row {
    const char *name, *value;
    enum kind kind;
    size_t off; /* in struct align_options */
    uint64_t low, high, preset;
    const char *help;
};

#define FIELD(name) offsetof(struct align_options, name)

static const struct row rows[] = {
    {"--query", "FILE", TEXT, FIELD(query), 0, 0, 0, "proteins to look for, FASTA, plain or gzip"},
    {"--db", "FILE", TEXT, FIELD(db), 0, 0, 0, "proteins to look among, FASTA, plain or gzip"},
    {"--out", "DIR", TEXT, FIELD(out_dir), 0, 0, 0, "where hits.tsv and scores.png go, made if missing (align-out)"},
    {"--top", "K", NUMBER_32, FIELD(top), 1, ALIGN_TOP_MAX, ALIGN_TOP_DEFAULT, "hits kept for each query"},
    {"--max-queries", "N", NUMBER_32, FIELD(max_queries), 1, INT32_MAX, 0, "take only the first N queries"},
    {"--max-subjects", "N", NUMBER_32, FIELD(max_subjects), 1, INT32_MAX, 0, "take only the first N proteins of the database"},
    {"--chunk-residues", "N", NUMBER_64, FIELD(chunk_residues), 1, ALIGN_CHUNK_RESIDUES_MAX_OPTION, ALIGN_CHUNK_RESIDUES_DEFAULT,
     "residues of the database in one piece of work, at most"},
};

enum { N_ROWS = sizeof rows / sizeof rows[0] };

static void store_number(struct align_options *options, const struct row *row, uint64_t number)
{
    char *field = (char *)options + row->off;
    if (row->kind == NUMBER_32) memcpy(field, &(uint32_t){(uint32_t)number}, sizeof(uint32_t));
    else memcpy(field, &number, sizeof number);
}

static int store(struct align_options *options, const struct row *row, const char *value, struct align_fault *fault)
{
    if (row->kind == TEXT) {
        if (!*value) return align_fault_set(fault, ALIGN_EXIT_INPUT, "%s wants a name, not an empty one", row->name);
        memcpy((char *)options + row->off, &value, sizeof value);
        return 0;
    }
    char *end;
    errno = 0;
    unsigned long long number = strtoull(value, &end, 10);
    if (*value < '0' || *value > '9' || *end || errno || number < row->low || number > row->high)
        return align_fault_set(fault, ALIGN_EXIT_INPUT, "%s wants a whole number from %llu to %llu, not '%s'", row->name,
                               (unsigned long long)row->low, (unsigned long long)row->high, value);
    store_number(options, row, number);
    return 0;
}

/* The row that arg names; *value_p is what follows a '=', or NULL. */
static const struct row *find_row(const char *arg, const char **value_p)
{
    const char *equals = strchr(arg, '=');
    size_t length = equals ? (size_t)(equals - arg) : strlen(arg);
    *value_p = equals ? equals + 1 : NULL;
    for (int i = 0; i < N_ROWS; i++)
        if (strlen(rows[i].name) == length && memcmp(rows[i].name, arg, length) == 0) return &rows[i];
    return NULL;
}

static int check(const struct align_options *options, struct align_fault *fault)
{
    if (!options->query) return align_fault_set(fault, ALIGN_EXIT_INPUT, "--query FILE is missing; --help lists the options");
    if (!options->db) return align_fault_set(fault, ALIGN_EXIT_INPUT, "--db FILE is missing; --help lists the options");
    return 0;
}

int align_options_parse(int argc, char **argv, struct align_options *options, struct align_fault *fault)
{
    *options = (struct align_options){.out_dir = "align-out"};
    for (int i = 0; i < N_ROWS; i++)
        if (rows[i].kind != TEXT) store_number(options, &rows[i], rows[i].preset);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            options->help = true;
            return 0;
        }
        const char *value;
        const struct row *row = find_row(argv[i], &value);
        if (!row) return align_fault_set(fault, ALIGN_EXIT_INPUT, "'%s' is no option; --help lists them", argv[i]);
        if (!value && i + 1 == argc) return align_fault_set(fault, ALIGN_EXIT_INPUT, "%s wants a value: %s", row->name, row->value);
        if (store(options, row, value ? value : argv[++i], fault)) return -1;
    }
    return check(options, fault);
}

void align_options_help(FILE *out, const char *program)
{
    fprintf(out,
            "usage: %s --query FILE --db FILE [options]\n"
            "Finds the proteins of a database that resemble the queries, by Smith-Waterman with BLOSUM62, gap open %d, extend %d.\n\n",
            program, ALIGN_GAP_OPEN, ALIGN_GAP_EXTEND);
    for (int i = 0; i < N_ROWS; i++) {
        fprintf(out, "  %-16s %-5s %s", rows[i].name, rows[i].value, rows[i].help);
        if (rows[i].preset) fprintf(out, " (%llu)", (unsigned long long)rows[i].preset);
        fputc('\n', out);
    }
    fprintf(out, "  %-16s %-5s %s\n", "--help", "", "print this");
}
