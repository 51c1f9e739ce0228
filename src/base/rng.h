/* rng.h: seeded pseudo-random numbers for tests, benchmarks and victim choice. Not for secrets.
 *
 * xoshiro256** by Blackman and Vigna, "Scrambled linear pseudorandom number generators" (ACM TOMS 47, 2021), its state filled
 * by splitmix64 as the authors advise. The same seed gives the same numbers on every machine. */
#ifndef MRAY_BASE_RNG_H
#define MRAY_BASE_RNG_H

#include <stdint.h>

typedef struct {
    uint64_t s[4];
} base_rng_t;

/* Next number of the splitmix64 sequence at *state; also a good mixer of one word. */
static inline uint64_t base_splitmix64(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static inline void base_rng_seed(base_rng_t *rng, uint64_t seed)
{
    for (int i = 0; i < 4; i++) rng->s[i] = base_splitmix64(&seed);
}

static inline uint64_t base_rng_rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

static inline uint64_t base_rng_next(base_rng_t *rng)
{
    uint64_t *s = rng->s;
    uint64_t result = base_rng_rotl(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = base_rng_rotl(s[3], 45);
    return result;
}

/* A number in [0, n), n > 0, without bias: draws from the incomplete last stretch are thrown away. */
static inline uint64_t base_rng_below(base_rng_t *rng, uint64_t n)
{
    uint64_t too_small = (0 - n) % n, x;
    do x = base_rng_next(rng);
    while (x < too_small);
    return x % n;
}

/* A number in [lo, hi], both included. */
static inline uint64_t base_rng_range(base_rng_t *rng, uint64_t lo, uint64_t hi)
{
    uint64_t span = hi - lo + 1;
    return span == 0 ? base_rng_next(rng) : lo + base_rng_below(rng, span);
}

/* A number in [0, 1), 53 bits. */
static inline double base_rng_unit(base_rng_t *rng)
{
    return (double)(base_rng_next(rng) >> 11) * 0x1.0p-53;
}

#endif
