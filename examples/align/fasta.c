/* fasta.c: a byte-at-a-time state machine over blocks from zlib, which passes plain files through.
 *
 *     LINE_START --'>'--> NAME --blank--> HEADER --newline--> LINE_START
 *         |  `--letter--> SEQUENCE --newline--> LINE_START      (NAME --newline--> LINE_START too)
 *
 * A record is open from its '>' to the next one or the end of the file. While it is open its residues and name grow at the end of the
 * two pools; closing it writes the final offsets and makes it count. */
#include "fasta.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { BLOCK_BYTES = 1 << 16 };

enum line_state { LINE_START, NAME, HEADER, SEQUENCE };

struct reader {
    const char *path;
    uint64_t line;
    uint64_t header_line; /* of the open record */
    uint32_t max_seqs;
    enum line_state state;
    bool open;            /* inside a record */
    bool done;            /* max_seqs reached */
    uint64_t residue_end; /* bytes used in the pools, the open record included */
    uint64_t name_end;
    struct align_seqs *seqs;
    struct align_fault *fault;
};

#define FOLD(upper, lower, to) [upper] = (to), [lower] = (to)

/* Byte to letter of the alphabet; 0 for what is none. */
static const char fold[256] = {
    FOLD('A', 'a', 'A'), FOLD('B', 'b', 'B'), FOLD('C', 'c', 'C'), FOLD('D', 'd', 'D'), FOLD('E', 'e', 'E'), FOLD('F', 'f', 'F'),
    FOLD('G', 'g', 'G'), FOLD('H', 'h', 'H'), FOLD('I', 'i', 'I'), FOLD('J', 'j', 'L'), FOLD('K', 'k', 'K'), FOLD('L', 'l', 'L'),
    FOLD('M', 'm', 'M'), FOLD('N', 'n', 'N'), FOLD('O', 'o', 'K'), FOLD('P', 'p', 'P'), FOLD('Q', 'q', 'Q'), FOLD('R', 'r', 'R'),
    FOLD('S', 's', 'S'), FOLD('T', 't', 'T'), FOLD('U', 'u', 'C'), FOLD('V', 'v', 'V'), FOLD('W', 'w', 'W'), FOLD('X', 'x', 'X'),
    FOLD('Y', 'y', 'Y'), FOLD('Z', 'z', 'Z'), ['*'] = '*',
};

/* Make room for one more byte or offset; keeps *p on failure. */
static int grow(void **p, uint64_t *cap, uint64_t used, size_t item_bytes, struct align_fault *fault)
{
    if (used < *cap) return 0;
    uint64_t cap_new = *cap ? *cap * 2 : 1024;
    void *q = realloc(*p, cap_new * item_bytes);
    if (!q) return align_fault_memory(fault, "the sequences");
    *p = q;
    *cap = cap_new;
    return 0;
}

static int push_byte(char **pool, uint64_t *cap, uint64_t *used, char c, struct align_fault *fault)
{
    void *p = *pool;
    if (grow(&p, cap, *used, 1, fault)) return -1;
    *pool = p;
    (*pool)[(*used)++] = c;
    return 0;
}

/* The two offset arrays grow together; room for entry n + 1. */
static int grow_offsets(struct align_seqs *seqs, struct align_fault *fault)
{
    uint64_t cap_a = seqs->off_cap, cap_b = seqs->off_cap;
    void *a = seqs->residue_off, *b = seqs->name_off;
    int rc = grow(&a, &cap_a, (uint64_t)seqs->n + 1, sizeof(uint64_t), fault);
    if (rc == 0) rc = grow(&b, &cap_b, (uint64_t)seqs->n + 1, sizeof(uint64_t), fault);
    seqs->residue_off = a;
    seqs->name_off = b;
    if (rc) return -1;
    seqs->off_cap = cap_a;
    if (seqs->n == 0) seqs->residue_off[0] = seqs->name_off[0] = 0;
    return 0;
}

static int seqs_close(struct align_seqs *seqs, uint64_t residue_end, uint64_t name_end, struct align_fault *fault)
{
    if (grow_offsets(seqs, fault)) return -1;
    seqs->residue_off[seqs->n + 1] = residue_end;
    seqs->name_off[seqs->n + 1] = name_end;
    seqs->n++;
    return 0;
}

int align_seqs_add(struct align_seqs *seqs, const char *name, const char *residues, uint32_t length, struct align_fault *fault)
{
    uint64_t residue_end = align_seqs_total(seqs), name_end = seqs->n ? seqs->name_off[seqs->n] : 0;
    for (uint32_t i = 0; i < length; i++)
        if (push_byte(&seqs->residues, &seqs->residue_cap, &residue_end, residues[i], fault)) return -1;
    for (size_t i = 0, n = strlen(name); i <= n; i++)
        if (push_byte(&seqs->names, &seqs->name_cap, &name_end, name[i], fault)) return -1;
    return seqs_close(seqs, residue_end, name_end, fault);
}

void align_seqs_fini(struct align_seqs *seqs)
{
    free(seqs->residue_off);
    free(seqs->name_off);
    free(seqs->residues);
    free(seqs->names);
    *seqs = (struct align_seqs){0};
}

/* A byte as a person reads it: 'x', or its number. */
static const char *byte_text(unsigned char c, char text[16])
{
    static const char hex[] = "0123456789abcdef";
    if (c > ' ' && c < 0x7f) memcpy(text, (char[]){'\'', (char)c, '\'', 0}, 4);
    else memcpy(text, (char[]){'b', 'y', 't', 'e', ' ', '0', 'x', hex[c >> 4], hex[c & 15], 0}, 10);
    return text;
}

static uint64_t name_start(const struct reader *r)
{
    return r->seqs->n ? r->seqs->name_off[r->seqs->n] : 0;
}

static int end_name(struct reader *r)
{
    if (r->name_end == name_start(r))
        return align_fault_set(r->fault, ALIGN_EXIT_INPUT, "%s, line %llu: a header without a name after '>'", r->path,
                               (unsigned long long)r->line);
    return push_byte(&r->seqs->names, &r->seqs->name_cap, &r->name_end, 0, r->fault);
}

static int end_record(struct reader *r)
{
    if (!r->open) return 0;
    r->open = false;
    if (r->residue_end == align_seqs_total(r->seqs))
        return align_fault_set(r->fault, ALIGN_EXIT_INPUT, "%s, line %llu: the sequence %s has no letters", r->path,
                               (unsigned long long)r->header_line, r->seqs->names + name_start(r));
    return seqs_close(r->seqs, r->residue_end, r->name_end, r->fault);
}

static int start_record(struct reader *r)
{
    if (end_record(r)) return -1;
    if (r->max_seqs && r->seqs->n == r->max_seqs) {
        r->done = true;
        return 0;
    }
    if (r->seqs->n == INT32_MAX)
        return align_fault_set(r->fault, ALIGN_EXIT_INPUT, "%s, line %llu: more than %d sequences", r->path, (unsigned long long)r->line,
                               INT32_MAX);
    r->open = true;
    r->header_line = r->line;
    r->state = NAME;
    return 0;
}

static int take_name(struct reader *r, unsigned char c)
{
    if (c == ' ' || c == '\t' || c == '\r') {
        if (r->name_end == name_start(r)) return 0; /* "> name" */
        r->state = HEADER;
        return end_name(r);
    }
    if (c < ' ' || c == 0x7f) {
        char text[16];
        return align_fault_set(r->fault, ALIGN_EXIT_INPUT, "%s, line %llu: the name holds the control character %s", r->path,
                               (unsigned long long)r->line, byte_text(c, text));
    }
    if (r->name_end - name_start(r) == ALIGN_NAME_MAX)
        return align_fault_set(r->fault, ALIGN_EXIT_INPUT, "%s, line %llu: the name is longer than %d bytes", r->path,
                               (unsigned long long)r->line, ALIGN_NAME_MAX);
    return push_byte(&r->seqs->names, &r->seqs->name_cap, &r->name_end, (char)c, r->fault);
}

static int take_residue(struct reader *r, unsigned char c)
{
    char text[16];
    if (c == ' ' || c == '\t' || c == '\r') return 0;
    if (!r->open)
        return align_fault_set(r->fault, ALIGN_EXIT_INPUT, "%s, line %llu: not FASTA: a line that starts with '>' must come first, not %s",
                               r->path, (unsigned long long)r->line, byte_text(c, text));
    char letter = fold[c];
    if (!letter)
        return align_fault_set(r->fault, ALIGN_EXIT_INPUT, "%s, line %llu: %s is no letter of BLOSUM62 (%s; U, O, J are read as C, K, L)",
                               r->path, (unsigned long long)r->line, byte_text(c, text), ALIGN_ALPHABET);
    if (r->residue_end - align_seqs_total(r->seqs) == ALIGN_LENGTH_MAX)
        return align_fault_set(r->fault, ALIGN_EXIT_INPUT, "%s, line %llu: the sequence is longer than %d letters", r->path,
                               (unsigned long long)r->line, ALIGN_LENGTH_MAX);
    if (letter != toupper(c)) r->seqs->n_mapped++;
    return push_byte(&r->seqs->residues, &r->seqs->residue_cap, &r->residue_end, letter, r->fault);
}

static int take_byte(struct reader *r, unsigned char c)
{
    int rc = 0;
    if (c == '\n') {
        if (r->state == NAME) rc = end_name(r);
        r->state = LINE_START;
        r->line++;
        return rc;
    }
    if (r->state == LINE_START && c == '>') return start_record(r);
    if (r->state == LINE_START) r->state = SEQUENCE;
    if (r->state == NAME) return take_name(r, c);
    if (r->state == SEQUENCE) return take_residue(r, c);
    return 0;
}

/* gzread ended or failed: say why, if that was not the end of the file. */
static int check_end(struct reader *r, gzFile file, int got)
{
    int code = Z_OK;
    const char *text = gzerror(file, &code);
    if (got == 0 && (code == Z_OK || code == Z_STREAM_END)) return 0;
    if (code == Z_BUF_ERROR)
        return align_fault_set(r->fault, ALIGN_EXIT_INPUT, "%s, line %llu: the gzip data end too early; the file is truncated", r->path,
                               (unsigned long long)r->line);
    if (code == Z_DATA_ERROR) { /* zlib keeps back what it had decoded of the last block; its text opens with "<fd:N>: " */
        const char *colon = strstr(text, ": ");
        return align_fault_set(r->fault, ALIGN_EXIT_INPUT, "%s, line %llu or later: the gzip data are damaged: %s", r->path,
                               (unsigned long long)r->line, colon ? colon + 2 : text);
    }
    return align_fault_set(r->fault, ALIGN_EXIT_INPUT, "%s, line %llu: cannot be read on: %s", r->path, (unsigned long long)r->line,
                           code == Z_ERRNO ? strerror(errno) : "zlib has no memory");
}

static int read_all(struct reader *r, gzFile file)
{
    unsigned char block[BLOCK_BYTES];
    int got;
    uint64_t total = 0;
    while (!r->done && (got = gzread(file, block, sizeof block)) > 0) {
        total += (uint64_t)got;
        for (int i = 0; i < got && !r->done; i++)
            if (take_byte(r, block[i])) return -1;
    }
    if (r->done) return 0;
    if (check_end(r, file, got)) return -1;
    if (r->state == NAME && end_name(r)) return -1;
    if (end_record(r)) return -1;
    if (r->seqs->n) return 0;
    return align_fault_set(r->fault, ALIGN_EXIT_INPUT, "%s, line %llu: the file %s", r->path, (unsigned long long)r->line,
                           total ? "holds no sequence" : "is empty");
}

static int open_file(const char *path, gzFile *file_p, struct align_fault *fault)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st)) {
        int saved = errno;
        if (fd >= 0) close(fd);
        return align_fault_set(fault, ALIGN_EXIT_INPUT, "%s cannot be opened: %s", path, strerror(saved));
    }
    if (S_ISDIR(st.st_mode)) {
        close(fd);
        return align_fault_set(fault, ALIGN_EXIT_INPUT, "%s is a directory, not a FASTA file", path);
    }
    gzFile file = gzdopen(fd, "rb");
    if (!file) {
        close(fd);
        return align_fault_memory(fault, "reading the file");
    }
    gzbuffer(file, 2 * BLOCK_BYTES);
    *file_p = file;
    return 0;
}

int align_fasta_read(const char *path, uint32_t max_seqs, struct align_seqs *seqs, struct align_fault *fault)
{
    *seqs = (struct align_seqs){0};
    gzFile file = NULL;
    if (open_file(path, &file, fault)) return -1;
    struct reader r = {.path = path, .line = 1, .max_seqs = max_seqs, .seqs = seqs, .fault = fault};
    int rc = read_all(&r, file);
    gzclose_r(file);
    if (rc) align_seqs_fini(seqs);
    return rc;
}
