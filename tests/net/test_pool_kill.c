/* The pool under kill -9: four processes take, free and exchange items and are killed at random moments, and one is killed after every
 * few instructions. No item is ever given out twice, and none is lost. */
#include "pool_items.h"
#include "test_child.h"

#include "rng.h"

#include <string.h>
#include <sys/mman.h>

enum { N_PROCS = 4, N_ITEMS = 64 * 24, N_MAIL = 16, N_HELD = 100, N_KILLS = 150, AGENT = 200, MAIL = 0xffff };

typedef struct {
    _Atomic uint32_t mail[N_MAIL]; /* items on their way to another process; their words say MAIL */
    _Atomic uint64_t n_taken;
    pool_unsaid_t unsaid[1 + N_PROCS]; /* by gid */
} shared_t;

typedef struct {
    pool_items_t p;
    shared_t *shared;
    uint16_t gid;
    uint64_t seed;
    pool_cache_t cache; /* of the process that is killed everywhere */
} fixture_t;

enum { CHILD_TWICE = 1, CHILD_NOT_MINE = 2 };

/* Without cmocka, which is the parent's. */
static uint32_t take_or_exit(fixture_t *f, pool_cache_t *cache)
{
    uint32_t index = pool_alloc(cache);
    uint64_t nobody = 0;
    if (index != 0 && !atomic_compare_exchange_strong(item_word(&f->p, index), &nobody, cache->gid)) _exit(CHILD_TWICE);
    return index;
}

static void drop_or_exit(fixture_t *f, pool_cache_t *cache, uint32_t index, uint64_t expected)
{
    if (!atomic_compare_exchange_strong(item_word(&f->p, index), &expected, 0)) _exit(CHILD_NOT_MINE);
    pool_free(cache, &f->p.seg, f->p.pool, index);
}

/* Send an item of this process and free what the place held: mostly another's. */
static void exchange(fixture_t *f, pool_cache_t *cache, uint32_t index, unsigned place)
{
    atomic_store(item_word(&f->p, index), MAIL);
    uint32_t other = atomic_exchange(&f->shared->mail[place], index);
    if (other != 0) drop_or_exit(f, cache, other, MAIL);
}

static void live(void *arg)
{
    fixture_t *f = arg;
    uint32_t held[N_HELD] = {0};
    base_rng_t rng;
    pool_cache_t cache = item_cache(&f->p, f->gid);
    cache.unsaid = &f->shared->unsaid[f->gid];
    base_rng_seed(&rng, f->seed + f->gid);
    for (;;) {
        unsigned i = (unsigned)base_rng_below(&rng, N_HELD);
        if (held[i] == 0) {
            held[i] = take_or_exit(f, &cache);
            atomic_fetch_add_explicit(&f->shared->n_taken, 1, memory_order_relaxed);
            continue;
        }
        if (base_rng_below(&rng, 3) == 0)
            exchange(f, &cache, held[i], (unsigned)base_rng_below(&rng, N_MAIL));
        else
            drop_or_exit(f, &cache, held[i], f->gid);
        held[i] = 0;
    }
}

/* What an agent does after a death: items that name the dead one are freed, then its chunks are nobody's. */
static void bury(fixture_t *f, uint16_t gid)
{
    pool_cache_t agent = item_cache(&f->p, AGENT);
    for (uint32_t i = 1; i < pool_high_water(f->p.pool); i++)
        if (atomic_load(item_word(&f->p, i)) == gid) item_drop(&f->p, &agent, i);
    if (f->shared != NULL) pool_say_for(&f->shared->unsaid[gid], &f->p.seg, f->p.pool);
    pool_adopt(&f->p.seg, f->p.pool, item_is_free, gid);
    pool_cache_fini(&agent);
}

/* With nobody alive: the exchange has what is in the mail; an item that died on the way there has only its word. */
static void empty_mail(fixture_t *f)
{
    pool_cache_t agent = item_cache(&f->p, AGENT);
    for (uint32_t i = 1; i < N_ITEMS; i++)
        if (atomic_load(item_word(&f->p, i)) == MAIL) item_drop(&f->p, &agent, i);
    for (int i = 0; i < N_MAIL; i++) atomic_store(&f->shared->mail[i], 0);
    pool_cache_fini(&agent);
}

static void make(fixture_t *f, uint32_t n_items)
{
    memset(f, 0, sizeof *f);
    pool_items_make(&f->p, n_items);
    f->shared = mmap(NULL, sizeof *f->shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(f->shared, MAP_FAILED);
}

static void unmake(fixture_t *f)
{
    munmap(f->shared, sizeof *f->shared);
    pool_items_free(&f->p);
}

static void test_four_processes_killed_at_random_lose_no_item(void **state)
{
    (void)state;
    fixture_t f;
    pid_t pids[N_PROCS];
    base_rng_t rng;
    make(&f, N_ITEMS);
    f.seed = test_seed();
    base_rng_seed(&rng, f.seed);
    for (int round = 0; round < N_KILLS / 10; round++) {
        uint16_t gids[N_PROCS];
        for (int i = 0; i < N_PROCS; i++) {
            f.gid = gids[i] = (uint16_t)(1 + i);
            pids[i] = test_child_start(live, &f);
        }
        for (int kills = 0; kills < 10; kills++) {
            int i = (int)base_rng_below(&rng, N_PROCS);
            usleep((useconds_t)base_rng_below(&rng, 4000));
            test_child_kill(pids[i]);
            bury(&f, gids[i]);
            f.seed++;
            f.gid = gids[i]; /* the same endpoint again */
            pids[i] = test_child_start(live, &f);
        }
        for (int i = 0; i < N_PROCS; i++) {
            test_child_kill(pids[i]);
            bury(&f, gids[i]);
        }
        empty_mail(&f);
        assert_int_equal(items_used(&f.p), 0);
        check_nothing_is_lost(&f.p);
    }
    assert_true(atomic_load(&f.shared->n_taken) > 10000);
    unmake(&f);
}

/* ---- one process, killed everywhere ---- */

enum { DEAD = 3, OTHER = 4 };

static uint32_t of_other; /* an item of OTHER's chunk that the child frees */

static void take_and_free(void *arg)
{
    fixture_t *f = arg;
    uint32_t a = take_or_exit(f, &f->cache), b = take_or_exit(f, &f->cache);
    drop_or_exit(f, &f->cache, of_other, OTHER);
    drop_or_exit(f, &f->cache, a, DEAD);
    if (take_or_exit(f, &f->cache) != a) _exit(3);
    drop_or_exit(f, &f->cache, b, DEAD);
}

static void reset(void *arg)
{
    fixture_t *f = arg;
    pool_items_make(&f->p, 64 * 4);
    pool_cache_t other = item_cache(&f->p, OTHER);
    of_other = item_take(&f->p, &other);
    pool_cache_fini(&other);
    f->cache = item_cache(&f->p, DEAD);
}

static void check(void *arg)
{
    fixture_t *f = arg;
    uint64_t word = atomic_load(item_word(&f->p, of_other));
    assert_true(word == 0 || word == OTHER);
    bury(f, DEAD);
    bury(f, OTHER);
    assert_int_equal(items_used(&f->p), 0);
    check_nothing_is_lost(&f->p);
    free(f->cache.stack);
    free(f->cache.mine);
    pool_items_free(&f->p);
}

static void test_killed_after_any_instruction_loses_no_item(void **state)
{
    (void)state;
    fixture_t f;
    memset(&f, 0, sizeof f);
    test_child_kill_everywhere(take_and_free, &f, reset, check, 30000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_four_processes_killed_at_random_lose_no_item),
        cmocka_unit_test(test_killed_after_any_instruction_loses_no_item),
    };
    return cmocka_run_group_tests_name("net.pool_kill", tests, NULL, NULL);
}
