/* Records: bodies of every number of refs and every size around the borders of records, refs that lie whole in one record, and
 * extensions that come back. */
#include "record.h"

#include "test_node.h"

#include <string.h>

static const test_node_config_t two_ranks = {.n = 2, .segment = {.arena_bytes = 4096, .n_slots = 64, .n_records = 640}};

typedef struct {
    test_node_t t;
    ep_t *ep, *other; /* of two ranks */
} fixture_t;

static int setup(void **state)
{
    static fixture_t f;
    test_node_make(&f.t, &two_ranks);
    f.ep = test_node_open(&f.t, 0, SEG_EP_MAIN, EP_KIND_USER, false);
    f.other = test_node_open(&f.t, 1, 3, EP_KIND_WORKER, true);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    fixture_t *f = *state;
    assert_int_equal(test_records_used(f->ep), 0);
    assert_int_equal(test_records_used(f->other), 0);
    ep_close(f->ep);
    ep_close(f->other);
    test_node_free(&f->t);
    return 0;
}

/* Where the values behind n refs may begin: refs stand two in the record, four in an extension, and values follow at once. */
static uint32_t expected_exts(unsigned n_refs, uint32_t bytes)
{
    uint32_t in_main = n_refs <= RECORD_MAIN_REFS ? RECORD_BODY_BYTES - n_refs * (uint32_t)sizeof(record_ref_t) : 0;
    if (n_refs <= RECORD_MAIN_REFS)
        return bytes <= in_main ? 0 : (bytes - in_main + RECORD_EXT_BODY_BYTES - 1) / RECORD_EXT_BODY_BYTES;
    unsigned more = n_refs - RECORD_MAIN_REFS, full = more / RECORD_EXT_REFS, rest = more % RECORD_EXT_REFS;
    uint32_t last = rest * (uint32_t)sizeof(record_ref_t) + bytes;
    return full + (last + RECORD_EXT_BODY_BYTES - 1) / RECORD_EXT_BODY_BYTES;
}

static uint8_t pattern(uint32_t i, unsigned salt)
{
    return (uint8_t)(i * 37 + (i >> 8) * 11 + salt);
}

static mray_ref ref_number(unsigned i, uint32_t bytes)
{
    return (mray_ref){.rank = i, .slot = bytes, .gen = ~i, .epoch = 0x5a5a0000 | i};
}

/* The record at which p lies: in ext's order 0 for the record itself; fails if it lies in none or across. */
static int where_is(ep_t *ep, record_t *rec, const void *p, size_t bytes)
{
    const char *a = p;
    if (a >= (char *)rec->body && a + bytes <= (char *)(rec + 1)) return 0;
    rid_t ext = rec->ext;
    for (int k = 1; k <= rec->n_ext; k++) {
        const record_ext_t *e = (record_ext_t *)(void *)record_at(ep, ext);
        if (a >= (const char *)e->body && a + bytes <= (const char *)(e + 1)) return k;
        ext = atomic_load(&e->next);
    }
    fail_msg("a ref of %d lies outside of all bodies or across two", rec->n_refs);
    return -1;
}

static void check_body(fixture_t *f, unsigned n_refs, uint32_t bytes)
{
    record_t *rec = NULL;
    rid_t rid = record_alloc(f->ep, n_refs, bytes, &rec);
    if (rid == 0) fail_msg("no record for %u refs and %u bytes", n_refs, bytes);
    assert_ptr_equal(rec, record_at(f->ep, rid));
    if (rec->n_ext != expected_exts(n_refs, bytes)) fail_msg("%u refs and %u bytes: %d extensions", n_refs, bytes, rec->n_ext);
    assert_int_equal(test_records_used(f->ep), 1 + rec->n_ext);
    uint8_t in[RECORD_MAX_BODY], out[RECORD_MAX_BODY];
    for (uint32_t i = 0; i < bytes; i++) in[i] = pattern(i, n_refs);
    for (unsigned i = 0; i < n_refs; i++) {
        record_ref_t *ref = record_ref(f->ep, rec, i);
        assert_int_equal((uintptr_t)ref % _Alignof(record_ref_t), 0);
        assert_int_equal(where_is(f->ep, rec, ref, sizeof *ref), i < RECORD_MAIN_REFS ? 0 : 1 + (int)((i - RECORD_MAIN_REFS) / RECORD_EXT_REFS));
        *ref = (record_ref_t){.ref = ref_number(i, bytes), .next_waiter = UINT64_MAX - i};
    }
    record_write(f->ep, rec, 0, in, bytes);
    /* Neither overwrote the other, and the other rank reads the same. */
    memset(out, 0, sizeof out);
    record_read(f->other, record_at(f->other, rid), 0, out, bytes);
    assert_memory_equal(out, in, bytes);
    for (unsigned i = 0; i < n_refs; i++) {
        mray_ref want = ref_number(i, bytes);
        const record_ref_t *ref = record_ref(f->other, record_at(f->other, rid), i);
        assert_memory_equal(&ref->ref, &want, sizeof want);
        assert_true(ref->next_waiter == UINT64_MAX - i);
    }
    record_free(f->ep, rid, rec);
    assert_int_equal(test_records_used(f->ep), 0);
}

static void test_bodies_of_all_refs_and_sizes_are_read_back(void **state)
{
    static const uint32_t borders[] = {RECORD_BODY_BYTES, RECORD_BODY_BYTES - 24, RECORD_BODY_BYTES - 48, RECORD_EXT_BODY_BYTES};
    fixture_t *f = *state;
    for (unsigned n = 0; n <= RECORD_MAX_REFS; n++) {
        for (uint32_t bytes = 0; bytes <= 40; bytes++) check_body(f, n, bytes);
        for (size_t b = 0; b < sizeof borders / sizeof borders[0]; b++)
            for (uint32_t bytes = borders[b] - 9; bytes <= borders[b] + 9; bytes++) check_body(f, n, bytes);
    }
    for (uint32_t bytes = 0; bytes <= RECORD_MAX_BODY; bytes++) check_body(f, 0, bytes);
}

static uint32_t largest_body(fixture_t *f, unsigned n_refs)
{
    record_t *rec;
    for (uint32_t bytes = RECORD_MAX_BODY + 1;; bytes--) {
        rid_t rid = record_alloc(f->ep, n_refs, bytes, &rec);
        if (rid == 0) continue;
        record_free(f->ep, rid, rec);
        return bytes;
    }
}

static void test_limits_of_refs_and_bytes(void **state)
{
    fixture_t *f = *state;
    record_t *rec;
    assert_int_equal(record_alloc(f->ep, RECORD_MAX_REFS + 1, 0, &rec), 0);
    assert_int_equal(largest_body(f, 0), RECORD_MAX_BODY);
    assert_int_equal(largest_body(f, 1), RECORD_MAX_BODY - 24);
    assert_int_equal(largest_body(f, 2), RECORD_MAX_BODY - 48);
    for (unsigned n = 0; n <= RECORD_MAX_REFS; n++) check_body(f, n, largest_body(f, n));
    assert_int_equal(record_alloc(f->ep, 0, UINT32_MAX - 7, &rec), 0); /* no wrap-around */
    assert_int_equal(test_records_used(f->ep), 0);
}

static void test_parts_are_written_and_read_at_offsets(void **state)
{
    fixture_t *f = *state;
    enum { BYTES = 600 };
    record_t *rec;
    uint8_t want[BYTES], out[BYTES];
    rid_t rid = record_alloc(f->ep, 3, BYTES, &rec);
    for (uint32_t i = 0; i < BYTES; i++) want[i] = pattern(i, 5);
    for (uint32_t off = 0; off < BYTES; off += 13) record_write(f->ep, rec, off, want + off, BYTES - off < 13 ? BYTES - off : 13);
    for (uint32_t off = 0; off < BYTES; off += 7) {
        uint32_t n = BYTES - off < 150 ? BYTES - off : 150;
        memset(out, 0xee, sizeof out);
        record_read(f->ep, rec, off, out, n);
        assert_memory_equal(out, want + off, n);
        if (n < BYTES) assert_int_equal(out[n], 0xee); /* and no more than asked for */
    }
    record_free(f->ep, rid, rec);
}

static void test_tail_is_the_end_of_the_body(void **state)
{
    fixture_t *f = *state;
    for (uint32_t bytes = sizeof(record_tail_t); bytes < 200; bytes += 4) {
        record_t *rec;
        rid_t rid = record_alloc(f->ep, bytes % 3, bytes, &rec);
        record_tail_t in = {.actor_rank = bytes, .caller_rank = ~bytes};
        record_write(f->ep, rec, bytes - (uint32_t)sizeof in, &in, sizeof in);
        record_tail_t out = record_tail(f->ep, rec);
        assert_memory_equal(&in, &out, sizeof in);
        record_free(f->ep, rid, rec);
    }
}

static void test_fields_are_zero_and_the_word_is_the_taker_s(void **state)
{
    fixture_t *f = *state;
    for (int turn = 0; turn < 3; turn++) {
        record_t *rec;
        rid_t rid = record_alloc(f->other, 5, 300, &rec);
        assert_int_equal(rid >> 24, 1);
        uint64_t word = atomic_load(&rec->word);
        assert_int_equal(record_word_state(word), RECORD_BUILDING);
        assert_int_equal(record_word_gid(word), f->other->gid);
        assert_int_equal(rec->creator, f->other->gid);
        assert_int_equal(rec->n_refs, 5);
        assert_int_equal(rec->body_bytes, 300);
        assert_int_equal(rec->fn, 0);
        assert_int_equal(rec->kind, 0);
        assert_int_equal(rec->shape, 0);
        assert_int_equal(rec->retries_left, 0);
        assert_int_equal(rec->attempt, 0);
        assert_int_equal(rec->held, 0);
        assert_int_equal(rec->pending, 0);
        assert_int_equal(rec->by_value, 0);
        assert_int_equal(rec->ref_params, 0);
        assert_int_equal(rec->target, 0);
        assert_int_equal(rec->actor, 0);
        assert_int_equal(rec->seq, 0);
        assert_int_equal(rec->caller, 0);
        assert_true(mray_ref_is_nil(rec->ret));
        memset((char *)rec + offsetof(record_t, fn), 0x5a, 2); /* what a user leaves behind does not come back */
        rec->held = rec->by_value = rec->target = 0xffff;
        rec->retries_left = -1;
        record_free(f->other, rid, rec);
        assert_int_equal(record_word_state(atomic_load(&rec->word)), RECORD_FREE);
        assert_int_equal(record_word_gid(atomic_load(&rec->word)), 0);
    }
}

static void test_each_use_has_a_generation_of_its_own(void **state)
{
    fixture_t *f = *state;
    record_t *rec;
    rid_t first = record_alloc(f->ep, 0, 0, &rec);
    uint32_t gen = record_word_gen(atomic_load(&rec->word));
    for (uint32_t i = 1; i < 5; i++) {
        record_free(f->ep, first, rec);
        assert_int_equal(record_alloc(f->ep, 0, 0, &rec), first); /* the last freed one is warm */
        assert_int_equal(record_word_gen(atomic_load(&rec->word)), gen + i);
    }
    record_free(f->ep, first, rec);
}

static void test_exhausted_pool_takes_back_what_it_gave(void **state)
{
    fixture_t *f = *state;
    static rid_t rids[640];
    record_t *rec;
    uint32_t n = 0;
    while ((rids[n] = record_alloc(f->ep, 0, 0, &rec)) != 0) n++;
    assert_int_equal(n, 639); /* record 0 is no record */
    for (int i = 0; i < 3; i++) {
        n--;
        record_free(f->ep, rids[n], record_at(f->ep, rids[n]));
    }
    assert_int_equal(record_alloc(f->ep, 0, RECORD_BODY_BYTES + 2 * RECORD_EXT_BODY_BYTES + 1, &rec), 0); /* needs four */
    assert_int_equal(test_records_used(f->ep), n);
    rids[n] = record_alloc(f->ep, 0, RECORD_BODY_BYTES + 2 * RECORD_EXT_BODY_BYTES, &rec);
    assert_int_not_equal(rids[n], 0);
    assert_int_equal(rec->n_ext, 2);
    n++;
    assert_int_equal(record_alloc(f->ep, 0, 0, &rec), 0);
    for (uint32_t i = 0; i < n; i++) record_free(f->ep, rids[i], record_at(f->ep, rids[i]));
}

static void test_another_rank_frees_record_and_extensions(void **state)
{
    fixture_t *f = *state;
    /* Many times the pool, so that what the other frees must come back to its owner. */
    for (int turn = 0; turn < 2000; turn++) {
        record_t *rec;
        rid_t rid = record_alloc(f->ep, 2, 400, &rec);
        assert_int_not_equal(rid, 0);
        record_free(f->other, rid, record_at(f->other, rid));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_bodies_of_all_refs_and_sizes_are_read_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limits_of_refs_and_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_parts_are_written_and_read_at_offsets, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tail_is_the_end_of_the_body, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fields_are_zero_and_the_word_is_the_taker_s, setup, teardown),
        cmocka_unit_test_setup_teardown(test_each_use_has_a_generation_of_its_own, setup, teardown),
        cmocka_unit_test_setup_teardown(test_exhausted_pool_takes_back_what_it_gave, setup, teardown),
        cmocka_unit_test_setup_teardown(test_another_rank_frees_record_and_extensions, setup, teardown),
    };
    return cmocka_run_group_tests_name("net.record", tests, NULL, NULL);
}
