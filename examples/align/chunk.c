/* chunk.c: see chunk.h. */
#include "chunk.h"

#include <string.h>

#define CHUNK_MAGIC 0x314b4843u /* "CHK1" */

enum { NAME_BYTES_MAX = 1 << 30 };

static uint64_t residue_bytes(const struct align_seqs *seqs, uint32_t first, uint32_t n)
{
    return seqs->residue_off[first + n] - seqs->residue_off[first];
}

static uint64_t name_bytes(const struct align_seqs *seqs, uint32_t first, uint32_t n)
{
    return seqs->name_off[first + n] - seqs->name_off[first];
}

uint32_t align_chunk_count(const struct align_seqs *seqs, uint32_t first, uint64_t max_residues, uint32_t max_seqs)
{
    uint32_t n = 0;
    while (first + n < seqs->n && (max_seqs == 0 || n < max_seqs)) {
        if (n && (residue_bytes(seqs, first, n + 1) > max_residues || name_bytes(seqs, first, n + 1) > NAME_BYTES_MAX)) break;
        n++;
    }
    return n;
}

static size_t names_start(uint32_t n)
{
    return sizeof(struct align_chunk_header) + 2 * ((size_t)n + 1) * sizeof(uint32_t);
}

size_t align_chunk_bytes(const struct align_seqs *seqs, uint32_t first, uint32_t n)
{
    return names_start(n) + name_bytes(seqs, first, n) + residue_bytes(seqs, first, n);
}

void align_chunk_pack(const struct align_seqs *seqs, uint32_t first, uint32_t n, void *buf)
{
    struct align_chunk_header *header = buf;
    *header = (struct align_chunk_header){
        .magic = CHUNK_MAGIC,
        .n = n,
        .first = first,
        .name_bytes = (uint32_t)name_bytes(seqs, first, n),
        .residue_bytes = residue_bytes(seqs, first, n),
        .chunk_bytes = align_chunk_bytes(seqs, first, n),
    };
    uint32_t *residue_off = (uint32_t *)(header + 1), *name_off = residue_off + n + 1;
    for (uint32_t i = 0; i <= n; i++) {
        residue_off[i] = (uint32_t)(seqs->residue_off[first + i] - seqs->residue_off[first]);
        name_off[i] = (uint32_t)(seqs->name_off[first + i] - seqs->name_off[first]);
    }
    char *names = (char *)(name_off + n + 1);
    memcpy(names, seqs->names + seqs->name_off[first], header->name_bytes);
    memcpy(names + header->name_bytes, seqs->residues + seqs->residue_off[first], header->residue_bytes);
}

static int offsets_are_sound(const uint32_t *off, uint32_t n, uint64_t end, uint32_t item_max)
{
    if (off[0] != 0 || off[n] != end) return 0;
    for (uint32_t i = 0; i < n; i++)
        if (off[i + 1] <= off[i] || off[i + 1] - off[i] > item_max) return 0;
    return 1;
}

static int not_a_chunk(struct align_fault *fault, const char *what)
{
    return align_fault_set(fault, ALIGN_EXIT_FAILED, "a buffer is no chunk of sequences: %s", what);
}

int align_chunk_open(const void *buf, size_t bytes, struct align_chunk *chunk, struct align_fault *fault)
{
    const struct align_chunk_header *header = buf;
    if (!buf || (uintptr_t)buf % 8) return not_a_chunk(fault, "it is not aligned to 8 bytes");
    if (bytes < sizeof *header || header->magic != CHUNK_MAGIC) return not_a_chunk(fault, "the header is missing");
    if (header->n == 0 || header->n > INT32_MAX || header->chunk_bytes > bytes || header->residue_bytes > UINT32_MAX ||
        header->chunk_bytes != names_start(header->n) + header->name_bytes + header->residue_bytes)
        return not_a_chunk(fault, "the sizes in its header do not agree");
    uint32_t n = header->n;
    const uint32_t *residue_off = (const uint32_t *)(header + 1), *name_off = residue_off + n + 1;
    const char *names = (const char *)(name_off + n + 1);
    if (!offsets_are_sound(residue_off, n, header->residue_bytes, ALIGN_LENGTH_MAX) ||
        !offsets_are_sound(name_off, n, header->name_bytes, ALIGN_NAME_MAX + 1))
        return not_a_chunk(fault, "its offsets do not ascend");
    for (uint32_t i = 1; i <= n; i++)
        if (names[name_off[i] - 1] != 0) return not_a_chunk(fault, "a name does not end");
    *chunk = (struct align_chunk){.n = n,
                                  .first = header->first,
                                  .residue_off = residue_off,
                                  .name_off = name_off,
                                  .names = names,
                                  .residues = names + header->name_bytes};
    return 0;
}

uint64_t align_chunk_cells(const struct align_chunk *queries, const struct align_chunk *subjects)
{
    return (uint64_t)queries->residue_off[queries->n] * subjects->residue_off[subjects->n];
}
