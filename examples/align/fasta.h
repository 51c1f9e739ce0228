/* fasta.h: protein sequences from a FASTA file, plain or gzip.
 *
 * A name is the first word after '>'. Letters are folded to upper case; U, O and J, which BLOSUM62 does not score, become C, K and L
 * (selenocysteine, pyrrolysine, leucine-or-isoleucine) and are counted. Blanks and empty lines inside a sequence are skipped. */
#ifndef ALIGN_FASTA_H
#define ALIGN_FASTA_H

#include "fault.h"

#include <stdint.h>

enum {
    ALIGN_NAME_MAX = 255,     /* bytes of a name, without the final zero */
    ALIGN_LENGTH_MAX = 1 << 24 /* residues of one sequence */
};

/* The 24 letters that BLOSUM62 scores. */
#define ALIGN_ALPHABET "ARNDCQEGHILKMFPSTWYVBZX*"

/* A list of sequences in four flat arrays. All zero is an empty list. */
struct align_seqs {
    uint32_t n;
    uint64_t n_mapped;      /* letters U, O, J that were read as C, K, L */
    uint64_t *residue_off;  /* n + 1 offsets into residues */
    uint64_t *name_off;     /* n + 1 offsets into names */
    char *residues;         /* letters of ALIGN_ALPHABET, no separators */
    char *names;            /* each ends in a zero byte */
    uint64_t off_cap, residue_cap, name_cap;
};

/** Read sequences from a file into an empty list.
 *  @param path      plain or gzip; told apart by content
 *  @param max_seqs  stop after so many, without looking at the rest of the file; 0 reads all
 *  @return 0, or -1 with a sentence that names file and line: no such file, empty, not FASTA, truncated or damaged gzip, a letter
 *          outside the alphabet, a sequence or name that is missing or too long. The list is then empty. */
int align_fasta_read(const char *path, uint32_t max_seqs, struct align_seqs *seqs, struct align_fault *fault);

/* Append one sequence; residues must be letters of ALIGN_ALPHABET. */
int align_seqs_add(struct align_seqs *seqs, const char *name, const char *residues, uint32_t length, struct align_fault *fault);

void align_seqs_fini(struct align_seqs *seqs);

static inline const char *align_seqs_name(const struct align_seqs *seqs, uint32_t i)
{
    return seqs->names + seqs->name_off[i];
}

static inline const char *align_seqs_residues(const struct align_seqs *seqs, uint32_t i)
{
    return seqs->residues + seqs->residue_off[i];
}

static inline uint32_t align_seqs_length(const struct align_seqs *seqs, uint32_t i)
{
    return (uint32_t)(seqs->residue_off[i + 1] - seqs->residue_off[i]);
}

static inline uint64_t align_seqs_total(const struct align_seqs *seqs)
{
    return seqs->n ? seqs->residue_off[seqs->n] : 0;
}

#endif
