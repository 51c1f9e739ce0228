/* log.c: one formatted line, one write(2). */
#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *const level_names[] = {"error", "warn", "info", "debug"};
static log_level_t max_level = LOG_WARN;
static int log_rank = -1;

bool log_set_level(const char *name)
{
    for (int i = LOG_ERROR; i <= LOG_DEBUG; i++) {
        if (strcmp(name, level_names[i]) == 0) {
            max_level = (log_level_t)i;
            return true;
        }
    }
    return false;
}

bool log_enabled(log_level_t level)
{
    return level <= max_level;
}

void log_set_rank(int rank)
{
    log_rank = rank;
}

void log_write(log_level_t level, const char *fmt, ...)
{
    if (!log_enabled(level)) return;
    char line[1024];
    int n = log_rank >= 0 ? snprintf(line, sizeof line, "mray[%d] %s: ", log_rank, level_names[level])
                          : snprintf(line, sizeof line, "mray %s: ", level_names[level]);
    va_list ap;
    va_start(ap, fmt);
    int m = vsnprintf(line + n, sizeof line - (size_t)n - 1, fmt, ap);
    va_end(ap);
    size_t len = (size_t)n + (size_t)(m < 0 ? 0 : m);
    if (len > sizeof line - 2) len = sizeof line - 2;
    line[len++] = '\n';
    /* A full or closed stderr must not stop the runtime: there is nowhere to report it. */
    ssize_t written = write(STDERR_FILENO, line, len);
    (void)written;
}
