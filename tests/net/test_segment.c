/* Segments: the parts lie apart and aligned, a second mapping shows the same bytes, the read-only one cannot be written, and names that
 * name nothing are refused. */
#include "segment.h"

#include "endpoint.h"
#include "slot_layout.h"
#include "test_child.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include <mray/status.h>

static const seg_config_t config = {.arena_bytes = 1 << 20, .arena_meta_bytes = 10000, .n_slots = 1000, .n_records = 130, .max_blocks = 10};

typedef struct {
    const char *what;
    uint64_t off, bytes, align;
} part_t;

static void check_parts(const part_t *parts, size_t n, uint64_t total)
{
    uint64_t end = sizeof(seg_header_t);
    for (size_t i = 0; i < n; i++) {
        if (parts[i].off < end) fail_msg("%s at %llu begins before %llu", parts[i].what, (unsigned long long)parts[i].off, (unsigned long long)end);
        if (parts[i].off % parts[i].align != 0) fail_msg("%s at %llu is not aligned", parts[i].what, (unsigned long long)parts[i].off);
        end = parts[i].off + parts[i].bytes;
    }
    assert_true(end <= total);
}

static void check_layout(const seg_config_t *c)
{
    segment_t seg;
    seg_name_t name;
    assert_int_equal(seg_create(c, 5, 3, &seg, &name), MRAY_OK);
    const seg_header_t *h = seg.hdr;
    assert_int_equal(h->epoch, 5);
    assert_int_equal(h->rank, 3);
    assert_int_equal(h->bytes, seg.bytes);
    assert_int_equal(name.bytes, seg.bytes);
    assert_int_equal(h->slots.n_chunks, (c->n_slots + 63) / 64);
    assert_int_equal(h->records.n_chunks, (c->n_records + 63) / 64);
    assert_int_equal(h->slots.item_bytes, sizeof(slot_t));
    assert_int_equal(h->records.item_bytes, sizeof(record_t));
    assert_int_equal(h->arena_bytes, c->arena_bytes);
    uint64_t ns = h->slots.n_chunks, nr = h->records.n_chunks;
    const part_t parts[] = {{"endpoints", h->eps_off, SEG_MAX_EPS * sizeof(ep_shared_t), 64},
                            {"slot hints", h->slots.hints_off, 8 * ns, 64},
                            {"slot summary", h->slots.summary_off, 8 * ((ns + 63) / 64), 64},
                            {"slot owners", h->slots.owner_off, 2 * ns, 64},
                            {"record hints", h->records.hints_off, 8 * nr, 64},
                            {"record summary", h->records.summary_off, 8 * ((nr + 63) / 64), 64},
                            {"record owners", h->records.owner_off, 2 * nr, 64},
                            {"slots", h->slots.items_off, ns * 64 * sizeof(slot_t), 4096},
                            {"records", h->records.items_off, nr * 64 * sizeof(record_t), 4096},
                            {"arena metadata", h->arena_meta_off, c->arena_meta_bytes, 64},
                            {"arena", h->arena_off, c->arena_bytes, 2 << 20}};
    check_parts(parts, sizeof parts / sizeof parts[0], seg.bytes);
    seg_unmap(&seg);
    seg_close_fd(&name);
}

static void test_parts_lie_apart_and_aligned(void **state)
{
    (void)state;
    check_layout(&config);
    check_layout(&(seg_config_t){.n_slots = 64, .n_records = 64, .arena_bytes = 4096});
    check_layout(&(seg_config_t){.n_slots = 65, .n_records = 1, .arena_bytes = 4096, .arena_meta_bytes = 1});
    check_layout(&(seg_config_t){.n_slots = 1 << 20, .n_records = 1 << 18, .arena_bytes = (uint64_t)8 << 30, .arena_meta_bytes = 1 << 24});
    check_layout(&(seg_config_t){.n_slots = SEG_MAX_ITEMS - 64, .n_records = SEG_MAX_ITEMS - 64, .arena_bytes = 4096});
}

static void test_fresh_memory_is_free_items(void **state)
{
    (void)state;
    segment_t seg;
    seg_name_t name;
    assert_int_equal(seg_create(&config, 1, 0, &seg, &name), MRAY_OK);
    for (uint32_t i = 0; i < seg.hdr->slots.n_chunks * 64; i++) assert_true(ep_slot_is_free_fn()(pool_item(&seg, &seg.hdr->slots, i)));
    for (uint32_t i = 0; i < seg.hdr->records.n_chunks * 64; i++) assert_true(ep_record_is_free_fn()(pool_item(&seg, &seg.hdr->records, i)));
    seg_unmap(&seg);
    seg_close_fd(&name);
}

static void test_second_mapping_shows_the_same_bytes(void **state)
{
    (void)state;
    segment_t a, b;
    seg_name_t name;
    assert_int_equal(seg_create(&config, 9, 1, &a, &name), MRAY_OK);
    assert_int_equal(seg_map(&name, &b), MRAY_OK);
    assert_ptr_not_equal(a.rw, b.rw);
    assert_int_equal(b.bytes, a.bytes);
    assert_int_equal(b.hdr->epoch, 9);
    memcpy(a.rw + a.hdr->arena_off, "here", 5);
    assert_string_equal(b.rw + b.hdr->arena_off, "here");
    assert_string_equal(b.ro + b.hdr->arena_off, "here");
    b.rw[b.bytes - 1] = 'z'; /* the last byte is there */
    assert_int_equal(a.ro[a.bytes - 1], 'z');
    seg_close_fd(&name); /* mappings live on without a name */
    assert_int_equal(name.fd, -1);
    seg_unmap(&a);
    assert_string_equal(b.ro + b.hdr->arena_off, "here");
    seg_unmap(&b);
    seg_unmap(&b); /* nothing to undo */
    seg_close_fd(&name);
}

static void write_read_only(void *arg)
{
    const segment_t *seg = arg;
    for (int s = 1; s < 32; s++) signal(s, SIG_DFL); /* a sanitizer's handlers aside */
    *(volatile char *)(uintptr_t)(seg->ro + seg->hdr->arena_off) = 1;
}

static void test_views_cannot_be_written(void **state)
{
    (void)state;
    segment_t seg;
    seg_name_t name;
    int status = 0;
    assert_int_equal(seg_create(&config, 1, 0, &seg, &name), MRAY_OK);
    pid_t pid = test_child_start(write_read_only, &seg);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSEGV);
    assert_int_equal(seg.ro[seg.hdr->arena_off], 0);
    seg_unmap(&seg);
    seg_close_fd(&name);
}

typedef struct {
    seg_name_t name;
    segment_t *seg;
} other_t;

static void map_and_write(void *arg)
{
    other_t *other = arg;
    segment_t mine;
    seg_unmap(other->seg);
    if (seg_map(&other->name, &mine) != MRAY_OK) _exit(1);
    mine.rw[mine.hdr->arena_off] = 42;
}

static void test_another_process_maps_it_by_name(void **state)
{
    (void)state;
    segment_t seg;
    other_t other = {.seg = &seg};
    assert_int_equal(seg_create(&config, 1, 0, &seg, &other.name), MRAY_OK);
    test_child_join(test_child_start(map_and_write, &other));
    assert_int_equal(seg.rw[seg.hdr->arena_off], 42);
    seg_unmap(&seg);
    seg_close_fd(&other.name);
}

static void test_wrong_names_are_refused_with_a_sentence(void **state)
{
    (void)state;
    segment_t seg = {0};
    seg_name_t gone = {.pid = (int32_t)getpid(), .fd = 987, .bytes = 4096};
    assert_int_equal(seg_map(&gone, &seg), MRAY_ERR_SYSTEM);
    assert_non_null(strstr(mray_error_message(), "/proc/"));
    int fd = memfd_create("other", MFD_CLOEXEC);
    assert_int_equal(ftruncate(fd, 1 << 16), 0);
    seg_name_t no_segment = {.pid = (int32_t)getpid(), .fd = fd, .bytes = 1 << 16};
    assert_int_equal(seg_map(&no_segment, &seg), MRAY_ERR_INTERNAL);
    assert_null(seg.rw);
    close(fd);
}

static void test_too_large_a_segment_is_refused_and_leaves_no_descriptor(void **state)
{
    (void)state;
    segment_t seg = {0};
    seg_name_t name = {.fd = -1};
    int before = dup(0);
    close(before);
    seg_config_t huge = config;
    huge.arena_bytes = UINT64_C(1) << 60;
    assert_int_equal(seg_create(&huge, 1, 0, &seg, &name), MRAY_ERR_OUT_OF_MEMORY);
    assert_non_null(strstr(mray_error_message(), "MRAY_STORE_BYTES"));
    int after = dup(0);
    close(after);
    assert_int_equal(before, after);
}

static void test_prefault_stays_inside_and_changes_nothing(void **state)
{
    (void)state;
    segment_t seg;
    seg_name_t name;
    assert_int_equal(seg_create(&config, 1, 0, &seg, &name), MRAY_OK);
    memcpy(seg.rw + seg.hdr->arena_off, "kept", 5);
    seg_prefault(&seg, UINT64_MAX, UINT64_MAX, UINT64_MAX); /* more than there is */
    assert_string_equal(seg.ro + seg.hdr->arena_off, "kept");
    assert_true(ep_slot_is_free_fn()(pool_item(&seg, &seg.hdr->slots, 5)));
    seg_prefault(&seg, 0, 0, 0);
    seg_unmap(&seg);
    seg_close_fd(&name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts_lie_apart_and_aligned),
        cmocka_unit_test(test_fresh_memory_is_free_items),
        cmocka_unit_test(test_second_mapping_shows_the_same_bytes),
        cmocka_unit_test(test_views_cannot_be_written),
        cmocka_unit_test(test_another_process_maps_it_by_name),
        cmocka_unit_test(test_wrong_names_are_refused_with_a_sentence),
        cmocka_unit_test(test_too_large_a_segment_is_refused_and_leaves_no_descriptor),
        cmocka_unit_test(test_prefault_stays_inside_and_changes_nothing),
    };
    return cmocka_run_group_tests_name("net.segment", tests, NULL, NULL);
}
