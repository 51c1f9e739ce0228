/* order.c: the treap. Links are number + 1, so that 0 is none. */
#include "order.h"

#include "error.h"

#include <stdlib.h>
#include <string.h>

static base_order_item_t *item(const base_order_t *order, uint32_t link)
{
    return &order->items[link - 1];
}

static uint32_t size_of(const base_order_t *order, uint32_t link)
{
    return link > 0 ? item(order, link)->size : 0;
}

static void count(const base_order_t *order, uint32_t link)
{
    base_order_item_t *it = item(order, link);
    it->size = size_of(order, it->left) + size_of(order, it->right) + 1;
}

/* Is item link before (key, number)? */
static bool is_before(const base_order_t *order, uint32_t link, uint64_t key, uint32_t number)
{
    uint64_t own = item(order, link)->key;
    return own < key || (own == key && link - 1 < number);
}

/* Murmur3's finisher: neighbours get unrelated priorities. */
static uint32_t priority_of(uint32_t number)
{
    uint32_t h = number + 0x9e3779b9u;
    h = (h ^ h >> 16) * 0x85ebca6bu;
    h = (h ^ h >> 13) * 0xc2b2ae35u;
    return h ^ h >> 16;
}

void base_order_fini(base_order_t *order)
{
    free(order->items);
    *order = (base_order_t){0};
}

int base_order_reserve(base_order_t *order, uint32_t n)
{
    if (n <= order->capacity) return MRAY_OK;
    uint32_t capacity = order->capacity > n / 2 ? order->capacity * 2 : n;
    base_order_item_t *items = realloc(order->items, capacity * sizeof *items);
    if (items == NULL) return base_error(MRAY_ERR_OUT_OF_MEMORY, "no memory to order %u numbers", n);
    memset(items + order->capacity, 0, (capacity - order->capacity) * sizeof *items);
    order->items = items;
    order->capacity = capacity;
    return MRAY_OK;
}

/* What comes before (key, number) to *left_p, the rest to *right_p. */
static void split(base_order_t *order, uint32_t link, uint64_t key, uint32_t number, uint32_t *left_p, uint32_t *right_p)
{
    if (link == 0) {
        *left_p = *right_p = 0;
        return;
    }
    base_order_item_t *it = item(order, link);
    if (is_before(order, link, key, number)) {
        split(order, it->right, key, number, &it->right, right_p);
        *left_p = link;
    } else {
        split(order, it->left, key, number, left_p, &it->left);
        *right_p = link;
    }
    count(order, link);
}

static uint32_t merge(base_order_t *order, uint32_t left, uint32_t right)
{
    if (left == 0 || right == 0) return left + right;
    base_order_item_t *l = item(order, left), *r = item(order, right);
    if (l->priority >= r->priority) {
        l->right = merge(order, l->right, right);
        count(order, left);
        return left;
    }
    r->left = merge(order, left, r->left);
    count(order, right);
    return right;
}

static uint32_t insert(base_order_t *order, uint32_t root, uint32_t link)
{
    base_order_item_t *it = item(order, link);
    if (root == 0 || item(order, root)->priority < it->priority) {
        split(order, root, it->key, link - 1, &it->left, &it->right);
        count(order, link);
        return link;
    }
    base_order_item_t *at = item(order, root);
    if (is_before(order, root, it->key, link - 1))
        at->right = insert(order, at->right, link);
    else
        at->left = insert(order, at->left, link);
    at->size++;
    return root;
}

void base_order_remove(base_order_t *order, uint32_t number)
{
    if (!base_order_has(order, number)) return;
    base_order_item_t *it = &order->items[number];
    uint32_t *at = &order->root;
    while (*at != number + 1) {
        base_order_item_t *above = item(order, *at);
        above->size--;
        at = is_before(order, *at, it->key, number) ? &above->right : &above->left;
    }
    *at = merge(order, it->left, it->right);
    *it = (base_order_item_t){0};
}

void base_order_set(base_order_t *order, uint32_t number, uint64_t key)
{
    if (base_order_has(order, number)) {
        if (order->items[number].key == key || base_order_count(order) == 1) {
            order->items[number].key = key;
            return;
        }
        base_order_remove(order, number);
    }
    order->items[number] = (base_order_item_t){.key = key, .size = 1, .priority = priority_of(number)};
    order->root = insert(order, order->root, number + 1);
}

uint32_t base_order_at(const base_order_t *order, uint32_t k)
{
    uint32_t link = order->root;
    for (;;) {
        const base_order_item_t *it = item(order, link);
        uint32_t n_left = size_of(order, it->left);
        if (k == n_left) return link - 1;
        if (k < n_left) {
            link = it->left;
        } else {
            k -= n_left + 1;
            link = it->right;
        }
    }
}

uint32_t base_order_before(const base_order_t *order, uint64_t key, uint32_t number)
{
    uint32_t n = 0, link = order->root;
    while (link != 0) {
        const base_order_item_t *it = item(order, link);
        if (is_before(order, link, key, number)) {
            n += size_of(order, it->left) + 1;
            link = it->right;
        } else {
            link = it->left;
        }
    }
    return n;
}

static bool is_sound(const base_order_t *order, uint32_t link)
{
    const base_order_item_t *it = item(order, link), *left = it->left > 0 ? item(order, it->left) : NULL, *right = it->right > 0 ? item(order, it->right) : NULL;
    if (it->size != size_of(order, it->left) + size_of(order, it->right) + 1) return false;
    if (left != NULL && (left->priority > it->priority || !is_sound(order, it->left))) return false;
    return right == NULL || (right->priority <= it->priority && is_sound(order, it->right));
}

int base_order_selfcheck(const base_order_t *order)
{
    uint32_t n = base_order_count(order), n_in = 0;
    if (order->root > 0 && !is_sound(order, order->root)) return base_error(MRAY_ERR_INTERNAL, "order: a size or a priority is wrong");
    for (uint32_t i = 0; i < order->capacity; i++) n_in += order->items[i].size > 0;
    if (n_in != n) return base_error(MRAY_ERR_INTERNAL, "order: %u numbers are in, %u are linked", n_in, n);
    for (uint32_t k = 1; k < n; k++) {
        uint32_t a = base_order_at(order, k - 1), b = base_order_at(order, k);
        uint64_t key_a = base_order_key(order, a), key_b = base_order_key(order, b);
        if (key_a > key_b || (key_a == key_b && a >= b)) return base_error(MRAY_ERR_INTERNAL, "order: number %u stands before %u", a, b);
    }
    return MRAY_OK;
}
