/* chunk.h: a batch of sequences as one flat buffer that holds no pointers: it can be put into an object store and read where it lies.
 *
 *     | header | residue offsets, n + 1 x u32 | name offsets, n + 1 x u32 | names, each with its zero | residues |
 *
 * All offsets count from the start of their own area. Same byte order on all sides; the buffer starts at a multiple of 8. */
#ifndef ALIGN_CHUNK_H
#define ALIGN_CHUNK_H

#include "fasta.h"

#include <stddef.h>
#include <stdint.h>

enum { ALIGN_CHUNK_RESIDUES_MAX = 1 << 30 }; /* u32 offsets, with room to spare */

struct align_chunk_header {
    uint32_t magic;
    uint32_t n;
    uint32_t first; /* number of the first sequence in its file, from 0 */
    uint32_t name_bytes;
    uint64_t residue_bytes;
    uint64_t chunk_bytes; /* of all, this header included */
};
_Static_assert(sizeof(struct align_chunk_header) == 32, "the offsets that follow are aligned");

/* Pointers into a chunk's buffer; valid as long as the buffer is. */
struct align_chunk {
    uint32_t n;
    uint32_t first;
    const uint32_t *residue_off;
    const uint32_t *name_off;
    const char *names;
    const char *residues;
};

/** How many sequences from first on make the next chunk.
 *  @param max_residues  the chunk stops before it exceeds this; one sequence is taken however long
 *  @param max_seqs      at most so many; 0 for no limit
 *  @return 0 when first is the end of the list */
uint32_t align_chunk_count(const struct align_seqs *seqs, uint32_t first, uint64_t max_residues, uint32_t max_seqs);

/* Bytes that align_chunk_pack() writes for n sequences from first on. */
size_t align_chunk_bytes(const struct align_seqs *seqs, uint32_t first, uint32_t n);

/* Write n sequences from first on into buf, of at least align_chunk_bytes() bytes, aligned to 8. n is what align_chunk_count()
 * returned for at most ALIGN_CHUNK_RESIDUES_MAX residues. */
void align_chunk_pack(const struct align_seqs *seqs, uint32_t first, uint32_t n, void *buf);

/** Look into a chunk without copying.
 *  @param bytes  of the buffer; may be more than the chunk has
 *  @return 0, or -1 if the buffer holds no sound chunk: every offset is checked, so that the pointers can be trusted
 *  @cost   one pass over the offsets */
int align_chunk_open(const void *buf, size_t bytes, struct align_chunk *chunk, struct align_fault *fault);

static inline const char *align_chunk_name(const struct align_chunk *chunk, uint32_t i)
{
    return chunk->names + chunk->name_off[i];
}

static inline const char *align_chunk_residues(const struct align_chunk *chunk, uint32_t i)
{
    return chunk->residues + chunk->residue_off[i];
}

static inline uint32_t align_chunk_length(const struct align_chunk *chunk, uint32_t i)
{
    return chunk->residue_off[i + 1] - chunk->residue_off[i];
}

/* Matrix cells of all queries against all subjects: what GCUPS counts. */
uint64_t align_chunk_cells(const struct align_chunk *queries, const struct align_chunk *subjects);

#endif
