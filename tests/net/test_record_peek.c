/* Looking at records that are another's: what is read is of one record, or is refused. One thread uses a handful of records over and over, as
 * tasks and as extensions; others look at all of them. */
#include "record_peek.h"

#include "test_node.h"

#include <pthread.h>
#include <sched.h>

static const test_node_config_t one_rank = {.n = 1, .segment = {.arena_bytes = 4096, .n_slots = 64, .n_records = 64}};

enum { N_ROUNDS = 60000, N_AT_A_TIME = 6, N_READERS = 2 };

typedef struct {
    test_node_t t;
    ep_t *ep, *other;
    _Atomic bool stop;
    _Atomic unsigned n_seen, n_refused, n_wrong;
} fixture_t;

static int setup(void **state)
{
    static fixture_t f;
    test_node_make(&f.t, &one_rank);
    f.ep = test_node_open(&f.t, 0, SEG_EP_MAIN, EP_KIND_USER, false);
    f.other = test_node_open(&f.t, 0, 0, EP_KIND_USER, false);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    fixture_t *f = *state;
    assert_int_equal(test_records_used(f->ep), 0);
    ep_close(f->ep);
    ep_close(f->other);
    test_node_free(&f->t);
    return 0;
}

static mray_ref ref_of(uint32_t number, uint32_t which)
{
    return (mray_ref){.rank = number, .slot = number ^ which, .gen = number * 3, .epoch = number + which};
}

static bool same_ref(mray_ref a, mray_ref b)
{
    return a.rank == b.rank && a.slot == b.slot && a.gen == b.gen && a.epoch == b.epoch;
}

/* A record all of whose fields follow from `number`. */
static rid_t make(ep_t *ep, uint32_t number)
{
    record_t *rec;
    uint8_t values[600];
    uint32_t bytes = 8 + number % 40 * 8;
    for (uint32_t i = 0; i < bytes; i++) values[i] = (uint8_t)(number + i);
    record_tail_t tail = {.actor_rank = number, .caller_rank = ~number};
    rid_t rid = record_alloc(ep, 2, bytes + (uint32_t)sizeof tail, &rec);
    if (rid == 0) return 0;
    record_set(rec, kind, RECORD_METHOD);
    record_set(rec, fn, number);
    record_set(rec, actor, ~number);
    record_set(rec, n_returns, (uint16_t)number);
    record_set_ret(rec, ref_of(number, 7));
    for (unsigned i = 0; i < 2; i++) record_set_ref(ep, rec, i, ref_of(number, i));
    record_write(ep, rec, 0, values, bytes);
    record_write(ep, rec, bytes, &tail, sizeof tail);
    atomic_store_explicit(&rec->word, record_word(RECORD_WAITING, ep->gid, record_word_gen(atomic_load(&rec->word))), memory_order_release);
    return rid;
}

static bool is_right(const record_peek_t *p)
{
    uint32_t number = p->fn;
    bool refs = same_ref(p->refs[0], ref_of(number, 0)) && same_ref(p->refs[1], ref_of(number, 1));
    return refs && p->kind == RECORD_METHOD && p->actor == ~number && p->n_returns == (uint16_t)number && same_ref(p->ret, ref_of(number, 7)) &&
           p->n_refs == 2 && p->body_bytes == 16 + number % 40 * 8;
}

static void *look(void *arg)
{
    fixture_t *f = arg;
    uint32_t high = pool_high_water(&f->ep->seg->hdr->records);
    while (!atomic_load(&f->stop))
        for (rid_t rid = 1; rid < high; rid++) {
            record_peek_t seen;
            record_tail_t tail;
            rid_t exts[RECORD_MAX_EXT];
            if (!record_peek(f->other, rid, &seen) || record_word_state(seen.word) != RECORD_WAITING) {
                atomic_fetch_add(&f->n_refused, 1);
                continue;
            }
            bool right = is_right(&seen);
            if (record_peek_tail(f->other, rid, &seen, &tail)) right = right && tail.actor_rank == seen.fn && tail.caller_rank == ~seen.fn;
            int n = record_peek_extensions(f->other, rid, &seen, exts);
            for (int i = 0; i < n; i++) right = right && exts[i] != 0 && exts[i] < high;
            atomic_fetch_add(right ? &f->n_seen : &f->n_wrong, 1);
        }
    return NULL;
}

static void test_what_is_seen_is_of_one_record(void **state)
{
    fixture_t *f = *state;
    pthread_t readers[N_READERS];
    rid_t rids[N_AT_A_TIME] = {0};
    for (unsigned i = 0; i < N_READERS; i++) assert_int_equal(pthread_create(&readers[i], NULL, look, f), 0);
    /* At least so many rounds, and until something was seen, on however few cores. */
    for (uint32_t n = 0; n < N_ROUNDS || atomic_load(&f->n_seen) < 100; n++) {
        rid_t *at = &rids[n % N_AT_A_TIME];
        if (*at != 0) record_free(f->ep, *at, record_at(f->ep, *at));
        *at = make(f->ep, n);
        assert_int_not_equal(*at, 0);
        if (n % 64 == 0) sched_yield();
    }
    atomic_store(&f->stop, true);
    for (unsigned i = 0; i < N_READERS; i++) pthread_join(readers[i], NULL);
    for (unsigned i = 0; i < N_AT_A_TIME; i++) record_free(f->ep, rids[i], record_at(f->ep, rids[i]));
    assert_int_equal(f->n_wrong, 0);
    assert_true(f->n_refused > 0);
}

static void test_a_record_that_changed_is_refused(void **state)
{
    fixture_t *f = *state;
    record_peek_t seen;
    record_tail_t tail;
    rid_t exts[RECORD_MAX_EXT];
    rid_t rid = make(f->ep, 39);
    record_t *rec = record_at(f->ep, rid);
    assert_true(record_peek(f->other, rid, &seen));
    assert_true(is_right(&seen));
    assert_int_equal(record_peek_extensions(f->other, rid, &seen, exts), rec->n_ext);
    assert_int_equal(exts[0], rec->ext);
    assert_false(record_peek(f->other, exts[0], &seen));
    assert_true(record_peek_settled(f->other, rid, &seen));
    assert_true(record_peek_tail(f->other, rid, &seen, &tail));
    assert_int_equal(tail.actor_rank, 39);
    atomic_store(&rec->word, record_word(RECORD_RUNNING, f->ep->gid, record_word_gen(atomic_load(&rec->word))));
    assert_int_equal(record_peek_extensions(f->other, rid, &seen, exts), -1);
    assert_false(record_peek_tail(f->other, rid, &seen, &tail));
    record_free(f->ep, rid, rec);
    assert_false(record_peek(f->other, rid, &seen));
    assert_false(record_peek_settled(f->other, rid, &seen));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_is_seen_is_of_one_record, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_record_that_changed_is_refused, setup, teardown),
    };
    return cmocka_run_group_tests_name("net.record_peek", tests, NULL, NULL);
}
