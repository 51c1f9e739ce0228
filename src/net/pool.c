/* pool.c: chunks, hints and the private stack. Memory orders: a freed item's word is stored with release before its
 * hint bit is set with release; the owner takes hints with acquire, so it sees everything the last user wrote. */
#include "pool.h"

#include "error.h"
#include "prefetch.h"

#include <stdlib.h>
#include <string.h>

enum {
    CHUNK = 64,
    RUN_CHUNKS = 32,  /* own chunks looked at for a run */
    MAX_STACK = 8192,
    AHEAD = 4, /* items that are asked for before their turn */
};

static _Atomic uint64_t *hint_word(const segment_t *seg, const seg_pool_t *pool, uint32_t chunk)
{
    return (_Atomic uint64_t *)(seg->rw + pool->hints_off) + chunk;
}

static _Atomic uint64_t *summary_word(const segment_t *seg, const seg_pool_t *pool, uint32_t word)
{
    return (_Atomic uint64_t *)(seg->rw + pool->summary_off) + word;
}

static _Atomic uint16_t *owner_of(const segment_t *seg, const seg_pool_t *pool, uint32_t chunk)
{
    return (_Atomic uint16_t *)(seg->rw + pool->owner_off) + chunk;
}

int pool_cache_init(pool_cache_t *cache, const segment_t *seg, seg_pool_t *pool, pool_is_free_fn is_free, uint16_t gid)
{
    *cache = (pool_cache_t){.seg = seg, .pool = pool, .is_free = is_free, .gid = gid, .lo_word = UINT32_MAX};
    cache->cap_stack = 4 * CHUNK;
    cache->stack = malloc(cache->cap_stack * sizeof *cache->stack);
    cache->mine = calloc((pool->n_chunks + 63) / 64, sizeof *cache->mine);
    if (cache->stack == NULL || cache->mine == NULL) {
        free(cache->stack);
        free(cache->mine);
        *cache = (pool_cache_t){0};
        return base_error(MRAY_ERR_OUT_OF_MEMORY, "cannot allocate the endpoint's item cache");
    }
    return MRAY_OK;
}

static void set_hints(const segment_t *seg, seg_pool_t *pool, uint32_t chunk, uint64_t bits)
{
    uint64_t before = atomic_fetch_or_explicit(hint_word(seg, pool, chunk), bits, memory_order_release);
    _Atomic uint64_t *summary = summary_word(seg, pool, chunk / 64);
    uint64_t bit = 1ull << chunk % 64;
    /* The summary bit may be missing although the word was not empty (its setter died between the two), so look. */
    if (before == 0 || (atomic_load_explicit(summary, memory_order_relaxed) & bit) == 0)
        atomic_fetch_or_explicit(summary, bit, memory_order_release);
}

void pool_say_for(const pool_unsaid_t *unsaid, const segment_t *seg, seg_pool_t *pool)
{
    uint64_t bits = atomic_load_explicit(&unsaid->bits, memory_order_acquire);
    uint32_t chunk = atomic_load_explicit(&unsaid->chunk, memory_order_relaxed);
    /* A living endpoint may have gone on to another chunk between the two: then bits are set that mean nothing. */
    if (bits != 0 && chunk < pool->n_chunks) set_hints(seg, pool, chunk, bits);
}

void pool_say(pool_cache_t *cache)
{
    if (cache->n_unsaid == 0) return;
    pool_say_for(cache->unsaid, cache->unsaid_seg, cache->unsaid_pool);
    cache->n_unsaid = 0;
}

/* The bit of an item of somebody else's chunk. Release: for an agent that sets it; what a killed process stored is there in program order anyway. */
static void collect_hint(pool_cache_t *cache, const segment_t *seg, seg_pool_t *pool, uint32_t index)
{
    pool_unsaid_t *unsaid = cache->unsaid;
    uint32_t chunk = index / CHUNK;
    uint64_t bits = 0;
    if (cache->n_unsaid > 0 && (cache->unsaid_pool != pool || atomic_load_explicit(&unsaid->chunk, memory_order_relaxed) != chunk)) pool_say(cache);
    if (cache->n_unsaid == 0) {
        cache->unsaid_seg = seg;
        cache->unsaid_pool = pool;
        atomic_store_explicit(&unsaid->bits, 0, memory_order_relaxed);
        atomic_store_explicit(&unsaid->rank, seg->hdr->rank, memory_order_relaxed);
        atomic_store_explicit(&unsaid->chunk, chunk, memory_order_relaxed);
    } else {
        bits = atomic_load_explicit(&unsaid->bits, memory_order_relaxed);
    }
    atomic_store_explicit(&unsaid->bits, bits | 1ull << index % CHUNK, memory_order_release);
    if (++cache->n_unsaid == POOL_UNSAID_MAX) pool_say(cache);
}

void pool_cache_fini(pool_cache_t *cache)
{
    if (cache->stack == NULL) return;
    pool_say(cache);
    for (uint32_t i = 0; i < cache->n_stack; i++)
        set_hints(cache->seg, cache->pool, cache->stack[i] / CHUNK, 1ull << cache->stack[i] % CHUNK);
    for (uint32_t w = cache->lo_word; w <= cache->hi_word && cache->lo_word != UINT32_MAX; w++)
        for (uint64_t m = cache->mine[w]; m != 0; m &= m - 1) {
            atomic_store_explicit(owner_of(cache->seg, cache->pool, w * 64 + (uint32_t)__builtin_ctzll(m)), 0, memory_order_release);
            atomic_fetch_add_explicit(&cache->pool->n_orphans, 1, memory_order_relaxed);
        }
    free(cache->stack);
    free(cache->mine);
    *cache = (pool_cache_t){0};
}

/* Private memory only; a failed growth drops to the shared hints, which lose nothing. */
static void stack_push(pool_cache_t *cache, uint32_t index)
{
    if (cache->n_stack == cache->cap_stack) {
        uint32_t *grown = realloc(cache->stack, 2 * cache->cap_stack * sizeof *grown);
        if (grown == NULL) {
            set_hints(cache->seg, cache->pool, index / CHUNK, 1ull << index % CHUNK);
            return;
        }
        cache->stack = grown;
        cache->cap_stack *= 2;
    }
    cache->stack[cache->n_stack++] = index;
}

static void own_chunk(pool_cache_t *cache, uint32_t chunk)
{
    uint32_t w = chunk / 64;
    cache->mine[w] |= 1ull << chunk % 64;
    if (cache->lo_word == UINT32_MAX) {
        cache->lo_word = cache->hi_word = cache->cursor = w;
        return;
    }
    if (w < cache->lo_word) cache->lo_word = w;
    if (w > cache->hi_word) cache->hi_word = w;
}

static void take_chunk_items(pool_cache_t *cache, uint32_t chunk, uint64_t bits)
{
    for (; bits != 0; bits &= bits - 1) {
        uint32_t index = chunk * CHUNK + (uint32_t)__builtin_ctzll(bits);
        if (index != 0) stack_push(cache, index);
    }
}

static void take_free_items(pool_cache_t *cache, uint32_t chunk)
{
    for (uint32_t i = 0; i < CHUNK; i++) {
        uint32_t index = chunk * CHUNK + i;
        if (index != 0 && cache->is_free(pool_item(cache->seg, cache->pool, index))) stack_push(cache, index);
    }
}

static uint32_t used_chunks(const seg_pool_t *pool)
{
    uint32_t chunks = atomic_load_explicit(&pool->next_fresh, memory_order_acquire);
    /* One chunk may be claimed and in use before the counter moved past it. */
    return chunks < pool->n_chunks ? chunks + 1 : pool->n_chunks;
}

/* Collect what others freed into own chunks; stops after the first summary word that gave something. */
static bool refill_from_hints(pool_cache_t *cache)
{
    if (cache->lo_word == UINT32_MAX) return false;
    uint32_t n_words = cache->hi_word - cache->lo_word + 1;
    for (uint32_t i = 0; i < n_words; i++) {
        uint32_t w = cache->cursor;
        cache->cursor = w == cache->hi_word ? cache->lo_word : w + 1;
        uint64_t m = atomic_load_explicit(summary_word(cache->seg, cache->pool, w), memory_order_relaxed) & cache->mine[w];
        if (m == 0) continue;
        atomic_fetch_and_explicit(summary_word(cache->seg, cache->pool, w), ~m, memory_order_acq_rel);
        for (; m != 0; m &= m - 1) {
            uint32_t chunk = w * 64 + (uint32_t)__builtin_ctzll(m);
            take_chunk_items(cache, chunk, atomic_exchange_explicit(hint_word(cache->seg, cache->pool, chunk), 0, memory_order_acquire));
        }
        if (cache->n_stack > 0) return true;
    }
    return false;
}

static bool claim(pool_cache_t *cache, uint32_t chunk)
{
    uint16_t nobody = 0;
    if (!atomic_compare_exchange_strong_explicit(owner_of(cache->seg, cache->pool, chunk), &nobody, cache->gid, memory_order_acq_rel,
                                                 memory_order_relaxed))
        return false;
    own_chunk(cache, chunk);
    return true;
}

/* Claim the next never-used chunk; UINT32_MAX when there is none. next_fresh is advanced by whoever sees it lag, so a
 * process that dies between claiming and advancing stops nobody. */
static uint32_t claim_fresh(pool_cache_t *cache)
{
    seg_pool_t *pool = cache->pool;
    uint32_t chunk = atomic_load_explicit(&pool->next_fresh, memory_order_relaxed);
    while (chunk < pool->n_chunks) {
        bool mine = claim(cache, chunk);
        uint32_t expected = chunk;
        atomic_compare_exchange_strong_explicit(&pool->next_fresh, &expected, chunk + 1, memory_order_relaxed, memory_order_relaxed);
        if (mine) return chunk;
        chunk = atomic_load_explicit(&pool->next_fresh, memory_order_relaxed);
    }
    return UINT32_MAX;
}

/* Chunks of endpoints that ended: used before fresh ones, so that the tables do not grow with every death. */
static bool refill_from_orphans(pool_cache_t *cache)
{
    seg_pool_t *pool = cache->pool;
    if (atomic_load_explicit(&pool->n_orphans, memory_order_relaxed) == 0) return false;
    uint32_t n = used_chunks(pool);
    for (uint32_t chunk = 0; chunk < n; chunk++) {
        if (atomic_load_explicit(owner_of(cache->seg, cache->pool, chunk), memory_order_relaxed) != 0) continue;
        if (!claim(cache, chunk)) continue;
        atomic_store_explicit(hint_word(cache->seg, cache->pool, chunk), 0, memory_order_relaxed);
        atomic_fetch_sub_explicit(&pool->n_orphans, 1, memory_order_relaxed);
        take_free_items(cache, chunk);
        if (cache->n_stack > 0) return true;
    }
    atomic_store_explicit(&pool->n_orphans, 0, memory_order_relaxed); /* only a hint: a process may die before it counts */
    return false;
}

/* Out of line, so that pool_alloc() saves no registers for it. */
__attribute__((cold, noinline)) static bool refill(pool_cache_t *cache)
{
    if (refill_from_hints(cache) || refill_from_orphans(cache)) return true;
    uint32_t chunk = claim_fresh(cache);
    if (chunk != UINT32_MAX) {
        for (uint32_t i = CHUNK; i-- > 0;) /* lowest index on top */
            if (chunk * CHUNK + i != 0) stack_push(cache, chunk * CHUNK + i);
        return true;
    }
    return false;
}

uint32_t pool_alloc(pool_cache_t *cache)
{
    for (;;) {
        if (cache->n_stack == 0 && !refill(cache)) return 0;
        uint32_t index = cache->stack[--cache->n_stack];
        if (cache->n_stack >= AHEAD) base_prefetch_to_write(pool_item(cache->seg, cache->pool, cache->stack[cache->n_stack - AHEAD]));
        /* A bit set twice puts an item on the stack twice; the second time it is in use. */
        if (cache->is_free(pool_item(cache->seg, cache->pool, index))) return index;
    }
}

/* n free items in a row in one of the endpoint's own chunks, from the cursor on; 0 if the few that are looked at have none. Their entries on the
 * stack go stale, which pool_alloc() notices. */
static uint32_t run_in_own_chunks(pool_cache_t *cache, uint32_t n)
{
    if (cache->lo_word == UINT32_MAX || n > CHUNK) return 0;
    uint32_t looked = 0;
    for (uint32_t i = 0, words = cache->hi_word - cache->lo_word + 1; i < words && looked < RUN_CHUNKS; i++) {
        uint32_t w = cache->run_cursor < cache->lo_word || cache->run_cursor > cache->hi_word ? cache->lo_word : cache->run_cursor;
        for (uint64_t m = cache->mine[w]; m != 0 && looked < RUN_CHUNKS; m &= m - 1, looked++) {
            uint32_t base = (w * 64 + (uint32_t)__builtin_ctzll(m)) * CHUNK, row = 0;
            for (uint32_t k = base == 0; k < CHUNK; k++) {
                row = cache->is_free(pool_item(cache->seg, cache->pool, base + k)) ? row + 1 : 0;
                if (row < n) continue;
                cache->run_cursor = w;
                return base + k + 1 - n;
            }
        }
        cache->run_cursor = w + 1;
    }
    return 0;
}

/* n items in a row from fresh chunks; the rest of the last one goes to the stack. */
static uint32_t run_in_fresh_chunks(pool_cache_t *cache, uint32_t n)
{
    uint32_t want = (n + CHUNK - 1) / CHUNK, first = 0, got = 0;
    while (got < want) {
        uint32_t chunk = claim_fresh(cache);
        bool follows = chunk != UINT32_MAX && chunk != 0 && (got == 0 || chunk == first + got); /* item 0 is nil: chunk 0 has no full row */
        if (!follows) { /* another endpoint came between, or there is no more: what was claimed serves single items */
            for (; got > 0; got--) take_free_items(cache, first++);
            if (chunk == UINT32_MAX) return 0;
        }
        if (chunk == 0) {
            take_free_items(cache, 0);
            continue;
        }
        if (got++ == 0) first = chunk;
    }
    for (uint32_t i = first * CHUNK + n; i < (first + want) * CHUNK; i++) stack_push(cache, i);
    return first * CHUNK;
}

uint32_t pool_alloc_run(pool_cache_t *cache, uint32_t n)
{
    if (n == 1) return pool_alloc(cache);
    uint32_t first = run_in_own_chunks(cache, n);
    return first != 0 ? first : run_in_fresh_chunks(cache, n);
}

void pool_free(pool_cache_t *cache, const segment_t *seg, seg_pool_t *pool, uint32_t index)
{
    uint32_t chunk = index / CHUNK;
    /* Runs leave stale entries behind, so the stack is bounded; hints count an item once however often it comes. */
    bool mine = pool == cache->pool && (cache->mine[chunk / 64] >> chunk % 64 & 1) != 0;
    if (mine && cache->n_stack < MAX_STACK)
        stack_push(cache, index);
    else if (cache->unsaid != NULL && !mine)
        collect_hint(cache, seg, pool, index);
    else
        set_hints(seg, pool, chunk, 1ull << index % CHUNK);
}

void pool_adopt(const segment_t *seg, seg_pool_t *pool, pool_is_free_fn is_free, uint16_t dead_gid)
{
    uint32_t n = used_chunks(pool);
    for (uint32_t chunk = 0; chunk < n; chunk++) {
        if (atomic_load_explicit(owner_of(seg, pool, chunk), memory_order_acquire) != dead_gid) continue;
        uint64_t bits = 0;
        for (uint32_t i = 0; i < CHUNK; i++)
            if (chunk * CHUNK + i != 0 && is_free(pool_item(seg, pool, chunk * CHUNK + i))) bits |= 1ull << i;
        set_hints(seg, pool, chunk, bits);
        atomic_store_explicit(owner_of(seg, pool, chunk), 0, memory_order_release);
        atomic_fetch_add_explicit(&pool->n_orphans, 1, memory_order_relaxed);
    }
}

uint32_t pool_high_water(const seg_pool_t *pool)
{
    return used_chunks(pool) * CHUNK;
}
