/* log.h: lines to stderr, each one write(2), so that lines of many processes do not mix.
 * Levels by MRAY_LOG: error, warn (default), info, debug. */
#ifndef MRAY_BASE_LOG_H
#define MRAY_BASE_LOG_H

#include <stdbool.h>

typedef enum { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG } log_level_t;

/* Parse "error|warn|info|debug"; false (level unchanged) for anything else. */
bool log_set_level(const char *name);
bool log_enabled(log_level_t level);

/* Rank shown in the prefix "mray[rank]"; -1 (the start) shows none. Inherited by forked workers. */
void log_set_rank(int rank);

__attribute__((format(printf, 2, 3))) void log_write(log_level_t level, const char *fmt, ...);

#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_write(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)

#endif
