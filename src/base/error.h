/* error.h: deciding an error. The place that decides calls base_error(); callers only propagate the status.
 * The sentence is kept per thread for mray_error_message(), and logged at level warn or below as asked. */
#ifndef MRAY_BASE_ERROR_H
#define MRAY_BASE_ERROR_H

#include <mray/status.h>
#include <stdarg.h>

/* Longest sentence kept; longer ones end in "...". */
enum { BASE_ERROR_MAX = 480 };

/* Set this thread's error sentence and return status, so that `return base_error(MRAY_ERR_TYPE, "...", ...)` reads well. */
__attribute__((format(printf, 2, 3))) int base_error(int status, const char *fmt, ...);

/* The same with errno's text appended after ": ". */
__attribute__((format(printf, 2, 3))) int base_error_errno(int status, const char *fmt, ...);

/* Replace this thread's sentence by text (an error that travelled here from another process). */
void base_error_set(const char *text);

#endif
