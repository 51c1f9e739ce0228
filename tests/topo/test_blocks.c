/* test_blocks.c: the layout of blocks, against all layouts tried in turn. */
#include "blocks.h"

#include <limits.h>
#include <mray/status.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MAX_CORES = 12, MAX_BLOCKS = 4 };

static int layout_cost(const int *edges, const topo_block_t *blocks, int n_blocks)
{
    int cost = 0;
    for (int b = 0; b < n_blocks; b++)
        for (int i = 0; i + 1 < blocks[b].size; i++) cost += edges[blocks[b].start + i];
    return cost;
}

/* Least cost of blocks b.. from core `at` on, by trying everything. n_larger: elastic blocks that must still get one more. */
static int try_all(const int *edges, int n_cores, const int *sizes, const bool *elastic, int n_blocks, int b, int at,
                   int n_larger, bool gaps)
{
    if (b == n_blocks) return n_larger == 0 ? 0 : INT_MAX;
    int least = INT_MAX;
    for (int start = at; start <= (gaps ? n_cores : at); start++) {
        for (int extra = 0; extra <= (elastic[b] && n_larger > 0 ? 1 : 0); extra++) {
            topo_block_t block = {.size = sizes[b] + extra, .start = start};
            if (start + block.size > n_cores) continue;
            int rest = try_all(edges, n_cores, sizes, elastic, n_blocks, b + 1, start + block.size, n_larger - extra, gaps);
            if (rest == INT_MAX) continue;
            int cost = rest + layout_cost(edges, &block, 1);
            if (cost < least) least = cost;
        }
    }
    return least;
}

static void check_layout(const topo_block_t *blocks, int n_blocks, int n_cores, int total)
{
    int at = 0, sum = 0;
    for (int b = 0; b < n_blocks; b++) {
        assert_true(blocks[b].start >= at);
        at = blocks[b].start + blocks[b].size;
        sum += blocks[b].size;
    }
    assert_true(at <= n_cores);
    assert_int_equal(sum, total);
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void test_random_layouts_cost_the_least(void **state)
{
    (void)state;
    uint64_t seed = UINT64_C(0xb10c5);
    print_message("seed 0x%llx\n", (unsigned long long)seed);
    for (int round = 0; round < 3000; round++) {
        int n_blocks = 1 + (int)(next_random(&seed) % MAX_BLOCKS), edges[MAX_CORES], sizes[MAX_BLOCKS], total = 0, n_larger = 0;
        int base_size = 1 + (int)(next_random(&seed) % 2);
        bool elastic[MAX_BLOCKS], any = false;
        topo_block_t blocks[MAX_BLOCKS];
        for (int b = 0; b < n_blocks; b++) {
            elastic[b] = next_random(&seed) % 4 != 0;
            int extra = elastic[b] ? (int)(next_random(&seed) % 2) : (int)(next_random(&seed) % 3) - 1;
            blocks[b] = (topo_block_t){.size = base_size + extra, .elastic = elastic[b]};
            total += blocks[b].size;
            any |= elastic[b] && extra == 0;
        }
        bool gaps = next_random(&seed) % 2 == 0;
        int n_cores = gaps ? MAX_CORES : total;
        gaps = total < n_cores;
        for (int b = 0; b < n_blocks; b++) {
            bool larger = !gaps && elastic[b] && any && blocks[b].size > base_size;
            sizes[b] = blocks[b].size - larger;
            n_larger += larger;
            if (gaps) elastic[b] = false;
        }
        for (int i = 0; i < MAX_CORES; i++) edges[i] = (int)(next_random(&seed) % 3) * 10;
        assert_int_equal(topo_blocks_place(edges, n_cores, blocks, n_blocks), MRAY_OK);
        check_layout(blocks, n_blocks, n_cores, total);
        int least = try_all(edges, n_cores, sizes, elastic, n_blocks, 0, 0, n_larger, gaps);
        assert_int_equal(layout_cost(edges, blocks, n_blocks), least);
    }
}

static void test_equal_costs_put_larger_blocks_first(void **state)
{
    (void)state;
    const int edges[8] = {0};
    topo_block_t blocks[3] = {{2, true, 0}, {3, true, 0}, {3, true, 0}};
    assert_int_equal(topo_blocks_place(edges, 8, blocks, 3), MRAY_OK);
    assert_int_equal(blocks[0].size, 3);
    assert_int_equal(blocks[1].size, 3);
    assert_int_equal(blocks[2].size, 2);
    assert_int_equal(blocks[2].start, 6);
}

static void test_room_without_reason_stays_at_the_end(void **state)
{
    (void)state;
    const int edges[8] = {0};
    topo_block_t blocks[2] = {{2, false, 0}, {1, false, 0}};
    assert_int_equal(topo_blocks_place(edges, 8, blocks, 2), MRAY_OK);
    assert_int_equal(blocks[0].start, 0);
    assert_int_equal(blocks[1].start, 2);
}

static void test_no_blocks_is_fine(void **state)
{
    (void)state;
    assert_int_equal(topo_blocks_place(NULL, 0, NULL, 0), MRAY_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_layouts_cost_the_least),
        cmocka_unit_test(test_equal_costs_put_larger_blocks_first),
        cmocka_unit_test(test_room_without_reason_stays_at_the_end),
        cmocka_unit_test(test_no_blocks_is_fine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
