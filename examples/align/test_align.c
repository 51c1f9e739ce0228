/* test_align.c: scores, chunks, the hit table, the bins and the options of examples/align. Random tests print their seed, and take
 * another from ALIGN_TEST_SEED. Input files and the whole program are tested by test_align_input.c. */
#include "chunk.h"
#include "options.h"
#include "picture.h"
#include "progress.h"
#include "score.h"
#include "topk.h"

#include <png.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static uint64_t random_state;

static uint32_t random_below(uint32_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 33) % n;
}

static void seed_random(void)
{
    const char *text = getenv("ALIGN_TEST_SEED");
    random_state = text ? strtoull(text, NULL, 10) : 20240611;
    if (random_state == 0) random_state = 1;
    print_message("seed %llu\n", (unsigned long long)random_state);
}

static void add_random(struct align_seqs *seqs, uint32_t length, const char *letters)
{
    struct align_fault fault;
    char name[32], *residues = malloc(length);
    assert_non_null(residues);
    for (uint32_t i = 0; i < length; i++) residues[i] = letters[random_below((uint32_t)strlen(letters))];
    snprintf(name, sizeof name, "s%u", seqs->n);
    assert_int_equal(align_seqs_add(seqs, name, residues, length, &fault), 0);
    free(residues);
}

static void *pack_all(const struct align_seqs *seqs, uint32_t first, uint32_t n, struct align_chunk *chunk)
{
    struct align_fault fault;
    size_t bytes = align_chunk_bytes(seqs, first, n);
    void *buf = malloc(bytes);
    assert_non_null(buf);
    align_chunk_pack(seqs, first, n, buf);
    assert_int_equal(align_chunk_open(buf, bytes, chunk, &fault), 0);
    return buf;
}

static int32_t plain(const struct align_seqs *a, uint32_t i, const struct align_seqs *b, uint32_t j)
{
    struct align_fault fault;
    int32_t score = -1;
    assert_int_equal(align_score_plain(align_seqs_residues(a, i), align_seqs_length(a, i), align_seqs_residues(b, j),
                                       align_seqs_length(b, j), &score, &fault), 0);
    return score;
}

static void test_score_chunks_equal_plain_smith_waterman(void **state)
{
    (void)state;
    struct align_seqs a = {0}, b = {0};
    struct align_fault fault;
    seed_random();
    for (uint32_t i = 0; i < 12; i++) add_random(&a, 1 + random_below(i < 3 ? 4 : 700), i % 4 ? ALIGN_ALPHABET : "WCH");
    for (uint32_t i = 0; i < 60; i++) add_random(&b, 1 + random_below(i < 6 ? 4 : 900), i % 3 ? ALIGN_ALPHABET : "WCHWW");
    struct align_chunk queries, subjects;
    void *buf_a = pack_all(&a, 0, a.n, &queries), *buf_b = pack_all(&b, 0, b.n, &subjects);
    int32_t *scores = malloc((size_t)a.n * b.n * sizeof *scores);
    assert_int_equal(align_score_chunks(&queries, &subjects, scores, &fault), 0);
    for (uint32_t i = 0; i < a.n; i++)
        for (uint32_t j = 0; j < b.n; j++) assert_int_equal(scores[i * b.n + j], plain(&a, i, &b, j));
    free(scores);
    free(buf_a);
    free(buf_b);
    align_seqs_fini(&a);
    align_seqs_fini(&b);
}

/* A run of n W against itself scores 11 n: go over the edges of the 8- and 16-bit lanes. */
static void test_score_past_the_lanes_is_exact(void **state)
{
    (void)state;
    static const uint32_t edges[] = {1, 5, 10, 11, 12, 13, 22, 23, 24, 2970, 2976, 2977, 2978, 2979, 2980, 5957, 5958, 6100};
    char *run = malloc(6100);
    memset(run, 'W', 6100);
    for (size_t i = 0; i < sizeof edges / sizeof edges[0]; i++) {
        struct align_profile profile;
        struct align_fault fault;
        int32_t score = 0;
        assert_int_equal(align_profile_init(&profile, run, edges[i], &fault), 0);
        assert_int_equal(align_profile_score(&profile, run, edges[i], &score, &fault), 0);
        assert_int_equal(score, 11 * edges[i]);
        assert_int_equal(align_profile_score(&profile, run, 3, &score, &fault), 0); /* a profile serves again */
        assert_int_equal(score, 11 * (edges[i] < 3 ? edges[i] : 3));
        align_profile_fini(&profile);
    }
    free(run);
}

/* Three letters in between: a gap of three costs 11 + 1 + 1. */
static void test_score_gap_costs_open_and_extend(void **state)
{
    (void)state;
    struct align_fault fault;
    int32_t with_gap = 0, whole = 0;
    const char *a = "WWWWWWWWHHHHHHHH", *b = "WWWWWWWWPPPHHHHHHHH";
    assert_int_equal(align_score_plain(a, 16, a, 16, &whole, &fault), 0);
    assert_int_equal(whole, 8 * 11 + 8 * 8);
    struct align_profile profile;
    assert_int_equal(align_profile_init(&profile, a, 16, &fault), 0);
    assert_int_equal(align_profile_score(&profile, b, 19, &with_gap, &fault), 0);
    assert_int_equal(with_gap, whole - (11 + 1 + 1));
    align_profile_fini(&profile);
}

static void test_chunk_round_trip_keeps_all(void **state)
{
    (void)state;
    struct align_seqs seqs = {0};
    seed_random();
    for (uint32_t i = 0; i < 300; i++) add_random(&seqs, 1 + random_below(200), ALIGN_ALPHABET);
    uint32_t seen = 0;
    uint64_t cells = 0;
    for (uint32_t first = 0, n; (n = align_chunk_count(&seqs, first, 1500, 0)) > 0; first += n) {
        struct align_chunk chunk;
        size_t bytes = align_chunk_bytes(&seqs, first, n);
        void *buf = pack_all(&seqs, first, n, &chunk), *moved = malloc(bytes); /* no pointers inside: a copy is as good */
        struct align_fault fault;
        memcpy(moved, buf, bytes);
        free(buf);
        assert_int_equal(align_chunk_open(moved, bytes, &chunk, &fault), 0);
        assert_int_equal(chunk.n, n);
        assert_int_equal(chunk.first, seen);
        assert_true(chunk.residue_off[n] <= 1500);
        cells += align_chunk_cells(&chunk, &chunk) / chunk.residue_off[n];
        for (uint32_t i = 0; i < n; i++, seen++) {
            assert_string_equal(align_chunk_name(&chunk, i), align_seqs_name(&seqs, seen));
            assert_int_equal(align_chunk_length(&chunk, i), align_seqs_length(&seqs, seen));
            assert_memory_equal(align_chunk_residues(&chunk, i), align_seqs_residues(&seqs, seen), align_seqs_length(&seqs, seen));
        }
        free(moved);
    }
    assert_int_equal(seen, seqs.n);
    assert_int_equal(cells, align_seqs_total(&seqs));
    align_seqs_fini(&seqs);
}

static void test_chunk_count_respects_its_limits(void **state)
{
    (void)state;
    struct align_seqs seqs = {0};
    random_state = 5;
    for (uint32_t i = 0; i < 4; i++) add_random(&seqs, 100, "ACDE");
    assert_int_equal(align_chunk_count(&seqs, 0, 300, 0), 3);
    assert_int_equal(align_chunk_count(&seqs, 0, 299, 0), 2);
    assert_int_equal(align_chunk_count(&seqs, 0, 1, 0), 1); /* a long sequence is a chunk of its own */
    assert_int_equal(align_chunk_count(&seqs, 0, 1000, 2), 2);
    assert_int_equal(align_chunk_count(&seqs, 3, 1000, 0), 1);
    assert_int_equal(align_chunk_count(&seqs, 4, 1000, 0), 0);
    align_seqs_fini(&seqs);
}

static void expect_no_chunk(const void *buf, size_t bytes)
{
    struct align_chunk chunk;
    struct align_fault fault = {0};
    assert_int_equal(align_chunk_open(buf, bytes, &chunk, &fault), -1);
    assert_non_null(strstr(fault.text, "no chunk of sequences"));
}

static void test_chunk_damage_is_seen(void **state)
{
    (void)state;
    struct align_seqs seqs = {0};
    struct align_chunk chunk;
    random_state = 9;
    for (uint32_t i = 0; i < 5; i++) add_random(&seqs, 50, "ACDE");
    size_t bytes = align_chunk_bytes(&seqs, 0, 5);
    char *buf = pack_all(&seqs, 0, 5, &chunk), *bad = malloc(bytes + 8);
    expect_no_chunk(NULL, 0);
    expect_no_chunk(buf, 10);
    expect_no_chunk(buf, bytes - 1);
    memcpy(bad + 4, buf, bytes);
    expect_no_chunk(bad + 4, bytes);
    for (size_t at = 0; at < sizeof(struct align_chunk_header) + 12 * sizeof(uint32_t); at += 4) {
        memcpy(bad, buf, bytes);
        if (at == offsetof(struct align_chunk_header, first)) continue; /* any number is as good as another */
        bad[at + 3] ^= 0x40;
        expect_no_chunk(bad, bytes);
    }
    memcpy(bad, buf, bytes);
    *strchr(bad + (align_chunk_name(&chunk, 2) - buf), 0) = 'x';
    expect_no_chunk(bad, bytes);
    free(bad);
    free(buf);
    align_seqs_fini(&seqs);
}

static void test_topk_does_not_depend_on_order(void **state)
{
    (void)state;
    enum { N = 500, K = 20 };
    int32_t scores[N];
    uint32_t order[N];
    struct align_hit best[K], again[K];
    seed_random();
    for (uint32_t i = 0; i < N; i++) scores[i] = (int32_t)random_below(60), order[i] = i; /* many ties */
    struct align_topk *sorted = align_topk_create(1, K);
    align_topk_offer_block(sorted, 0, 1, 0, N, scores);
    assert_int_equal(align_topk_best(sorted, 0, best), K);
    for (uint32_t i = 1; i < K; i++)
        assert_true(best[i - 1].score > best[i].score || (best[i - 1].score == best[i].score && best[i - 1].subject < best[i].subject));
    for (uint32_t i = 0, n_better = 0; i < N; i++) { /* against counting: fewer than K are better than each hit kept */
        n_better += scores[i] > best[K - 1].score || (scores[i] == best[K - 1].score && i < best[K - 1].subject);
        if (i == N - 1) assert_int_equal(n_better, K - 1);
    }
    for (int round = 0; round < 50; round++) {
        for (uint32_t i = N - 1; i > 0; i--) {
            uint32_t j = random_below(i + 1), kept = order[i];
            order[i] = order[j];
            order[j] = kept;
        }
        struct align_topk *parts[3];
        for (int p = 0; p < 3; p++) parts[p] = align_topk_create(1, K);
        for (uint32_t i = 0; i < N; i++) align_topk_offer(parts[random_below(3)], 0, order[i], scores[order[i]]);
        align_topk_merge(parts[0], parts[1]);
        align_topk_merge(parts[0], parts[2]);
        assert_int_equal(align_topk_best(parts[0], 0, again), K);
        assert_memory_equal(again, best, sizeof best);
        for (int p = 0; p < 3; p++) free(parts[p]);
    }
    free(sorted);
}

static void test_topk_keeps_queries_apart_and_drops_zero(void **state)
{
    (void)state;
    static const int32_t scores[] = {7, 0, 9, 0, 0, 0, 5, 5, 5};
    struct align_hit hits[4];
    struct align_topk *topk = align_topk_create(3, 4);
    align_topk_offer_block(topk, 0, 3, 10, 3, scores);
    assert_int_equal(align_topk_best(topk, 0, hits), 2);
    assert_int_equal(hits[0].subject, 12);
    assert_int_equal(hits[0].score, 9);
    assert_int_equal(hits[1].subject, 10);
    assert_int_equal(align_topk_best(topk, 1, hits), 0);
    assert_int_equal(align_topk_best(topk, 2, hits), 3);
    assert_int_equal(hits[0].subject, 10);
    assert_int_equal(hits[2].subject, 12);
    free(topk);
}

static void test_bins_hold_the_maximum(void **state)
{
    (void)state;
    enum { Q = 3, S = 5000 };
    int32_t *scores = malloc(Q * S * sizeof *scores);
    seed_random();
    for (uint32_t i = 0; i < Q * S; i++) scores[i] = (int32_t)random_below(1000);
    struct align_bins *whole = align_bins_create(Q, S), *a = align_bins_create(Q, S), *b = align_bins_create(Q, S);
    assert_int_equal(whole->n_rows, Q);
    assert_int_equal(whole->n_columns, ALIGN_BIN_COLUMNS);
    align_bins_offer_block(whole, 0, Q, 0, S, scores);
    for (uint32_t q = 0; q < Q; q++) {
        align_bins_offer_block(q % 2 ? a : b, q, 1, 0, 1777, scores + q * S);
        align_bins_offer_block(q % 2 ? b : a, q, 1, 1777, S - 1777, scores + q * S + 1777);
    }
    align_bins_merge(a, b);
    assert_memory_equal(a, whole, align_bins_bytes(Q, S));
    for (uint32_t q = 0; q < Q; q++)
        for (uint32_t s = 0; s < S; s++)
            assert_true(whole->best[q * ALIGN_BIN_COLUMNS + s * ALIGN_BIN_COLUMNS / S] >= scores[q * S + s]);
    free(whole);
    free(a);
    free(b);
    free(scores);
}

/* The pixels of one colour left of the colour scale. */
static uint32_t count_pixels(const char *path, int red, int green, int blue)
{
    png_image image = {.version = PNG_IMAGE_VERSION};
    assert_true(png_image_begin_read_from_file(&image, path));
    image.format = PNG_FORMAT_RGB;
    uint8_t *rgb = malloc(PNG_IMAGE_SIZE(image));
    assert_true(png_image_finish_read(&image, NULL, rgb, 0, NULL));
    uint32_t n = 0;
    for (uint32_t y = 0; y < image.height; y++)
        for (uint32_t x = 0; x < image.width - 90; x++) {
            const uint8_t *p = rgb + ((size_t)y * image.width + x) * 3;
            n += p[0] == red && p[1] == green && p[2] == blue;
        }
    free(rgb);
    return n;
}

static void test_picture_shows_the_highest_and_the_lowest(void **state)
{
    (void)state;
    enum { CELL = 24 * (1200 / 10) };
    int32_t scores[30];
    struct align_seqs queries = {0};
    struct align_fault fault = {0};
    char path[] = "/tmp/test_align.XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    random_state = 3;
    for (int i = 0; i < 3; i++) add_random(&queries, 10, "ACDE");
    for (int i = 0; i < 30; i++) scores[i] = 100;
    scores[4] = scores[17] = 5000;
    scores[9] = 20;
    struct align_bins *bins = align_bins_create(3, 10);
    align_bins_offer_block(bins, 0, 3, 0, 10, scores);
    assert_int_equal(align_picture_write(bins, &queries, path, &fault), 0);
    assert_int_equal(count_pixels(path, 252, 255, 164), 2 * CELL);
    assert_int_equal(count_pixels(path, 0, 0, 4), CELL);
    assert_int_equal(align_picture_write(bins, &queries, "/no/such/folder/x.png", &fault), -1);
    assert_non_null(strstr(fault.text, "/no/such/folder/x.png cannot be written: No such file"));
    memset(bins->best, 0, 30 * sizeof(int32_t)); /* nothing aligns at all */
    assert_int_equal(align_picture_write(bins, &queries, path, &fault), 0);
    assert_int_equal(count_pixels(path, 0, 0, 4), 30 * CELL);
    free(bins);
    align_seqs_fini(&queries);
    close(fd);
    unlink(path);
}

static int parse(struct align_options *options, struct align_fault *fault, int argc, ...)
{
    char *argv[16] = {"align"};
    va_list ap;
    va_start(ap, argc);
    for (int i = 1; i <= argc; i++) argv[i] = va_arg(ap, char *);
    va_end(ap);
    return align_options_parse(argc + 1, argv, options, fault);
}

static void test_options_are_read(void **state)
{
    (void)state;
    struct align_options o;
    struct align_fault fault;
    assert_int_equal(parse(&o, &fault, 4, "--query", "q.fa", "--db=d.fa.gz", "--top=7"), 0);
    assert_string_equal(o.query, "q.fa");
    assert_string_equal(o.db, "d.fa.gz");
    assert_string_equal(o.out_dir, "align-out");
    assert_int_equal(o.top, 7);
    assert_int_equal(o.max_queries, 0);
    assert_int_equal(o.chunk_residues, ALIGN_CHUNK_RESIDUES_DEFAULT);
    assert_int_equal(parse(&o, &fault, 10, "--db", "d", "--query", "q", "--max-queries", "3", "--chunk-residues", "1000", "--out", "x"), 0);
    assert_int_equal(o.max_queries, 3);
    assert_int_equal(o.chunk_residues, 1000);
    assert_string_equal(o.out_dir, "x");
    assert_int_equal(parse(&o, &fault, 1, "--help"), 0);
    assert_true(o.help);
}

#define EXPECT_WRONG(part, ...)                                                                                          \
    do {                                                                                                                 \
        struct align_options wrong_o;                                                                                    \
        struct align_fault wrong_fault = {0};                                                                            \
        assert_int_equal(parse(&wrong_o, &wrong_fault, __VA_ARGS__), -1);                                                \
        assert_int_equal(wrong_fault.exit_code, ALIGN_EXIT_INPUT);                                                       \
        if (!strstr(wrong_fault.text, part)) fail_msg("'%s' does not say '%s'", wrong_fault.text, part);                 \
    } while (0)

static void test_options_wrong_ones_get_a_sentence(void **state)
{
    (void)state;
    EXPECT_WRONG("--query FILE is missing", 0);
    EXPECT_WRONG("--db FILE is missing", 2, "--query", "q");
    EXPECT_WRONG("'--tops' is no option", 1, "--tops");
    EXPECT_WRONG("'--to' is no option", 2, "--to", "3");
    EXPECT_WRONG("'q.fa' is no option", 1, "q.fa");
    EXPECT_WRONG("--top wants a value", 1, "--top");
    EXPECT_WRONG("--top wants a whole number from 1 to 1000000, not '0'", 2, "--top", "0");
    EXPECT_WRONG("not '-1'", 2, "--top", "-1");
    EXPECT_WRONG("not '5x'", 1, "--max-queries=5x");
    EXPECT_WRONG("not ''", 1, "--max-subjects=");
    EXPECT_WRONG("not '99999999999999999999999'", 2, "--chunk-residues", "99999999999999999999999");
    EXPECT_WRONG("not '4294967297'", 2, "--max-queries", "4294967297");
    EXPECT_WRONG("--out wants a name", 1, "--out=");
}

static void test_progress_off_a_terminal_is_ten_plain_lines(void **state)
{
    (void)state;
    struct align_progress progress;
    char line[200];
    int n = 0;
    FILE *file = tmpfile();
    align_progress_start(&progress, file, 1000);
    for (int i = 0; i < 1000; i++) align_progress_add(&progress, 1);
    align_progress_stop(&progress);
    assert_true(align_progress_seconds(&progress) > 0);
    rewind(file);
    while (fgets(line, sizeof line, file)) {
        n++;
        assert_null(strchr(line, '\r'));
        assert_non_null(strstr(line, "GCUPS\n"));
    }
    assert_int_equal(n, 10);
    fclose(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_score_chunks_equal_plain_smith_waterman),
        cmocka_unit_test(test_score_past_the_lanes_is_exact),
        cmocka_unit_test(test_score_gap_costs_open_and_extend),
        cmocka_unit_test(test_chunk_round_trip_keeps_all),
        cmocka_unit_test(test_chunk_count_respects_its_limits),
        cmocka_unit_test(test_chunk_damage_is_seen),
        cmocka_unit_test(test_topk_does_not_depend_on_order),
        cmocka_unit_test(test_topk_keeps_queries_apart_and_drops_zero),
        cmocka_unit_test(test_bins_hold_the_maximum),
        cmocka_unit_test(test_picture_shows_the_highest_and_the_lowest),
        cmocka_unit_test(test_options_are_read),
        cmocka_unit_test(test_options_wrong_ones_get_a_sentence),
        cmocka_unit_test(test_progress_off_a_terminal_is_ten_plain_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
