/* test_json.h: is a text JSON, to the letter (RFC 8259)? And single members of an object that stands on one line. */
#ifndef TEST_JSON_H
#define TEST_JSON_H

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline const char *json_value(const char *p, int depth);

static inline const char *json_space(const char *p)
{
    while (p != NULL && *p != 0 && strchr(" \t\r\n", *p) != NULL) p++;
    return p;
}

/* Behind the string at p, NULL if it is none. */
static inline const char *json_string(const char *p)
{
    if (*p++ != '"') return NULL;
    for (; *p != '"'; p++) {
        if ((unsigned char)*p < 0x20) return NULL;
        if (*p != '\\') continue;
        p++;
        if (*p == 'u') {
            for (int i = 1; i <= 4; i++)
                if (!isxdigit((unsigned char)p[i])) return NULL;
            p += 4;
        } else if (*p == 0 || strchr("\"\\/bfnrt", *p) == NULL) {
            return NULL;
        }
    }
    return p + 1;
}

static inline const char *json_digits(const char *p)
{
    if (!isdigit((unsigned char)*p)) return NULL;
    while (isdigit((unsigned char)*p)) p++;
    return p;
}

static inline const char *json_number(const char *p)
{
    if (*p == '-') p++;
    p = *p == '0' ? p + 1 : json_digits(p);
    if (p != NULL && *p == '.') p = json_digits(p + 1);
    if (p != NULL && (*p == 'e' || *p == 'E')) p = json_digits(p[1] == '+' || p[1] == '-' ? p + 2 : p + 1);
    return p;
}

/* Members or elements behind the opening bracket, and the closing one. */
static inline const char *json_list(const char *p, bool object, int depth)
{
    char close = object ? '}' : ']';
    p = json_space(p);
    if (*p == close) return p + 1;
    for (;;) {
        if (object) {
            if ((p = json_space(json_string(p))) == NULL || *p != ':') return NULL;
            p = json_space(p + 1);
        }
        if ((p = json_space(json_value(p, depth))) == NULL) return NULL;
        if (*p == close) return p + 1;
        if (*p != ',') return NULL;
        p = json_space(p + 1);
    }
}

static inline const char *json_value(const char *p, int depth)
{
    static const char *const words[] = {"true", "false", "null"};
    if (p == NULL || depth > 64) return NULL;
    if (*p == '{' || *p == '[') return json_list(p + 1, *p == '{', depth + 1);
    if (*p == '"') return json_string(p);
    for (int i = 0; i < 3; i++)
        if (strncmp(p, words[i], strlen(words[i])) == 0) return p + strlen(words[i]);
    return json_number(p);
}

static inline bool json_is_whole(const char *text)
{
    const char *end = json_space(json_value(json_space(text), 0));
    return end != NULL && *end == 0;
}

/* The value of "key" in a line, NULL if it is not there. */
static inline const char *json_member(const char *line, const char *key)
{
    char quoted[64];
    snprintf(quoted, sizeof quoted, "\"%s\": ", key);
    const char *at = strstr(line, quoted);
    return at != NULL ? at + strlen(quoted) : NULL;
}

static inline double json_member_number(const char *line, const char *key)
{
    const char *at = json_member(line, key);
    return at != NULL ? strtod(at, NULL) : -1;
}

/* Is the value that string, as it is written? */
static inline bool json_member_is(const char *line, const char *key, const char *text)
{
    const char *at = json_member(line, key);
    return at != NULL && at[0] == '"' && strncmp(at + 1, text, strlen(text)) == 0 && at[1 + strlen(text)] == '"';
}

/* A whole file, NULL if it cannot be read; to be freed. */
static inline char *json_read_file(const char *path)
{
    FILE *file = fopen(path, "re");
    char *text = NULL;
    size_t n = 0, room = 0;
    while (file != NULL && !feof(file)) {
        if (n + 65536 > room) text = realloc(text, room = 2 * room + 131072);
        if (text == NULL) abort();
        n += fread(text + n, 1, 65535, file);
        text[n] = 0;
    }
    if (file != NULL) fclose(file);
    return text;
}

#endif
