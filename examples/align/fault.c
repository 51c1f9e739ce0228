/* fault.c: see fault.h. */
#include "fault.h"

#include <stdarg.h>
#include <stdio.h>

int align_fault_set(struct align_fault *fault, int exit_code, const char *fmt, ...)
{
    fault->exit_code = exit_code;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(fault->text, sizeof fault->text, fmt, ap);
    va_end(ap);
    return -1;
}

int align_fault_memory(struct align_fault *fault, const char *what)
{
    return align_fault_set(fault, ALIGN_EXIT_FAILED, "memory for %s cannot be had", what);
}
