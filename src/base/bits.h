/* bits.h: counting the bits of a word. */
#ifndef MRAY_BASE_BITS_H
#define MRAY_BASE_BITS_H

#include <stdint.h>

/* Written out (Warren, "Hacker's Delight", 2nd ed., 5-1): where the CPU's instruction may not be used the compiler's builtin is a call. */
static inline int base_count_bits(uint64_t x)
{
    x -= x >> 1 & UINT64_C(0x5555555555555555);
    x = (x & UINT64_C(0x3333333333333333)) + (x >> 2 & UINT64_C(0x3333333333333333));
    return (int)(((x + (x >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f)) * UINT64_C(0x0101010101010101) >> 56);
}

#endif
