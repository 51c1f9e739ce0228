/* hash.h: 64-bit hashes of bytes and names, by xxHash (XXH3). The same on every machine and in every version: names travel
 * between ranks as hashes, and checksums of slots are compared across nodes. Not for secrets. */
#ifndef MRAY_BASE_HASH_H
#define MRAY_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t base_hash64(const void *bytes, size_t n);

/* Go on from an earlier hash: base_hash64_seeded(b, n, base_hash64(a, m)) depends on both and on their order. */
uint64_t base_hash64_seeded(const void *bytes, size_t n, uint64_t seed);

/* Hash of a name, NUL not included. Never 0, which stands for "no name" in records. */
uint64_t base_hash_name(const char *name);

#endif
