/* fault.h: the sentence of a failure and the exit code that belongs to it. The caller owns the struct, so that any number of threads
 * and processes can fail at once; functions that take one return 0 on success and -1 with the fault filled in. */
#ifndef ALIGN_FAULT_H
#define ALIGN_FAULT_H

enum { ALIGN_FAULT_MAX = 640 };

/* Exit codes of the align programs. */
enum align_exit {
    ALIGN_EXIT_OK = 0,
    ALIGN_EXIT_FAILED = 1, /* the machine's fault: no memory, disk full */
    ALIGN_EXIT_INPUT = 2   /* the user's: an option or an input file */
};

struct align_fault {
    int exit_code;
    char text[ALIGN_FAULT_MAX];
};

/* Fill in the fault; returns -1, so that `return align_fault_set(...)` reads well. Longer sentences are cut. */
__attribute__((format(printf, 3, 4))) int align_fault_set(struct align_fault *fault, int exit_code, const char *fmt, ...);

/* "memory for <what> cannot be had"; returns -1. */
int align_fault_memory(struct align_fault *fault, const char *what);

#endif
