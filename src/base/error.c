/* error.c: status names and the calling thread's error sentence. */
#include "error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char error_text[BASE_ERROR_MAX];

static const struct {
    int number;
    const char *name;
    const char *text;
} status_rows[] = {
#define ROW(name, number, text) {number, #name, text},
    MRAY_STATUS_TABLE(ROW)
#undef ROW
};

enum { N_STATUS_ROWS = sizeof status_rows / sizeof status_rows[0] };

const char *mray_status_name(int status)
{
    for (int i = 0; i < N_STATUS_ROWS; i++)
        if (status_rows[i].number == status) return status_rows[i].name;
    return "ERR_UNKNOWN";
}

const char *mray_status_text(int status)
{
    for (int i = 0; i < N_STATUS_ROWS; i++)
        if (status_rows[i].number == status) return status_rows[i].text;
    return "a status unknown to this version";
}

const char *mray_error_message(void)
{
    return error_text;
}

static void format_sentence(const char *fmt, va_list ap)
{
    int n = vsnprintf(error_text, sizeof error_text, fmt, ap);
    if (n >= (int)sizeof error_text) memcpy(error_text + sizeof error_text - 4, "...", 4);
}

int base_error(int status, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    format_sentence(fmt, ap);
    va_end(ap);
    return status;
}

int base_error_errno(int status, const char *fmt, ...)
{
    int saved = errno;
    va_list ap;
    va_start(ap, fmt);
    format_sentence(fmt, ap);
    va_end(ap);
    size_t len = strlen(error_text);
    snprintf(error_text + len, sizeof error_text - len, ": %s", strerror(saved));
    errno = saved;
    return status;
}

void base_error_set(const char *text)
{
    snprintf(error_text, sizeof error_text, "%s", text);
}
