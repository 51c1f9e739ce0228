/* options.h: the command line of the align programs. */
#ifndef ALIGN_OPTIONS_H
#define ALIGN_OPTIONS_H

#include "fault.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum {
    ALIGN_TOP_DEFAULT = 5,
    ALIGN_TOP_MAX = 1000000,
    ALIGN_CHUNK_RESIDUES_DEFAULT = 200000,
    ALIGN_CHUNK_RESIDUES_MAX_OPTION = 1 << 28
};

struct align_options {
    const char *query, *db, *out_dir; /* point into argv */
    uint32_t top;
    uint32_t max_queries, max_subjects; /* 0: all */
    uint64_t chunk_residues;
    bool help;
};

/** Read the options: --name value or --name=value. Needs neither order nor globals, and leaves argv as it is.
 *  @return 0; or -1 with a sentence and exit code 2. With --help the rest is not checked. */
int align_options_parse(int argc, char **argv, struct align_options *options, struct align_fault *fault);

void align_options_help(FILE *out, const char *program);

#endif
