/* order.h: whole numbers 0 .. n-1 in order of a 64-bit key, ties by number, with positions: the k-th, and how many come before.
 *
 * A treap (Seidel & Aragon 1996) in arrays, whose nodes know the size of their subtree. A node's priority is a hash of its number, so
 * the shape depends on the keys alone and nothing is drawn at run time. Every operation is O(log n) expected; 24 bytes a number.
 *
 * Not for several threads at once: the owner locks. */
#ifndef MRAY_BASE_ORDER_H
#define MRAY_BASE_ORDER_H

#include <mray/status.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct {
    uint64_t key;
    uint32_t left, right; /* number + 1; 0 = none */
    uint32_t size;        /* of the subtree; 0 = the number is not in the order */
    uint32_t priority;
} base_order_item_t;

typedef struct {
    base_order_item_t *items;
    uint32_t capacity, root;
} base_order_t; /* {0} is an empty one */

void base_order_fini(base_order_t *order);
/* Room for numbers below n; base_order_set() does not allocate then. MRAY_ERR_OUT_OF_MEMORY: the order is as it was. */
MRAY_CHECK_RESULT int base_order_reserve(base_order_t *order, uint32_t n);

/* Put number in, or move it. It is below what was reserved. */
void base_order_set(base_order_t *order, uint32_t number, uint64_t key);
/* Nothing if it is not there. */
void base_order_remove(base_order_t *order, uint32_t number);

static inline bool base_order_has(const base_order_t *order, uint32_t number)
{
    return number < order->capacity && order->items[number].size > 0;
}

static inline uint32_t base_order_count(const base_order_t *order)
{
    return order->root > 0 ? order->items[order->root - 1].size : 0;
}

/* Of a number that is there. */
static inline uint64_t base_order_key(const base_order_t *order, uint32_t number)
{
    return order->items[number].key;
}

/* The number at position k < count. */
uint32_t base_order_at(const base_order_t *order, uint32_t k);
/* How many come before (key, number), whether or not it is there; before the first of a key: number 0. */
uint32_t base_order_before(const base_order_t *order, uint64_t key, uint32_t number);

/* Check order, sizes and priorities; MRAY_ERR_INTERNAL with a sentence. O(n). */
MRAY_CHECK_RESULT int base_order_selfcheck(const base_order_t *order);

#endif
