/* hash.c: xxHash, compiled in, so that the library needs no libxxhash at run time. */
#define XXH_INLINE_ALL
#include "hash.h"

#include <string.h>
#include <xxhash.h>

uint64_t base_hash64(const void *bytes, size_t n)
{
    return XXH3_64bits(bytes, n);
}

uint64_t base_hash64_seeded(const void *bytes, size_t n, uint64_t seed)
{
    return XXH3_64bits_withSeed(bytes, n, seed);
}

uint64_t base_hash_name(const char *name)
{
    uint64_t h = XXH3_64bits(name, strlen(name));
    return h ? h : 1;
}
