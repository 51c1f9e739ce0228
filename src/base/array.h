/* array.h: arrays that grow. */
#ifndef MRAY_BASE_ARRAY_H
#define MRAY_BASE_ARRAY_H

#include <stdlib.h>

/* The array with room for one item more than the n it has: itself, or grown to twice its capacity, then *cap says so. Growing moves it, so the
 * answer replaces the array. NULL without memory; the array is as it was. */
static inline void *base_array_room(void *items, unsigned n, unsigned *cap, size_t item_bytes)
{
    if (n < *cap) return items;
    unsigned more = *cap > 0 ? *cap * 2 : 4;
    void *grown = realloc(items, more * item_bytes);
    if (grown != NULL) *cap = more;
    return grown;
}

#endif
