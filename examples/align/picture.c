/* picture.c: see picture.h. Logarithms are taken in integers, so that the pixels are the same on every machine.
 *
 *      title
 *      names or  +-----------------------+  colour
 *      numbers   | a row of cells a query|  scale
 *                +-----------------------+
 *                 0     5000     10000       number of the protein in the database */
#include "picture.h"

#include "canvas.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    HEAT_WIDTH = 1200,  /* aimed at; a cell is a whole number of pixels */
    HEAT_HEIGHT = 1000,
    CELL_HEIGHT_MAX = 24,
    NAMED_CELL_HEIGHT = 9, /* from here on a row has room for its name */
    NAME_LETTERS = 31,
    MARGIN = 12,
    TITLE_HEIGHT = 28,
    AXIS_HEIGHT = 34,
    SCALE_WIDTH = 18,
    SCALE_SPACE = 90, /* with its numbers */
    SCALE_HEIGHT_MIN = 120,
    N_COLOURS = 256
};

#define BACKGROUND 0xffffffu
#define INK 0x202020u
#define FRAME 0x808080u

struct layout {
    int cell_width, cell_height;
    int heat_x, heat_y, heat_width, heat_height;
    int width, height;
    bool named;
    uint32_t log_low, log_high; /* range of the scale, as log2_fixed() */
};

size_t align_bins_bytes(uint32_t n_queries, uint32_t n_subjects)
{
    size_t rows = n_queries < ALIGN_BIN_ROWS ? n_queries : ALIGN_BIN_ROWS;
    size_t columns = n_subjects < ALIGN_BIN_COLUMNS ? n_subjects : ALIGN_BIN_COLUMNS;
    return sizeof(struct align_bins) + rows * columns * sizeof(int32_t);
}

struct align_bins *align_bins_init(void *block, uint32_t n_queries, uint32_t n_subjects)
{
    struct align_bins *bins = block;
    memset(block, 0, align_bins_bytes(n_queries, n_subjects));
    bins->n_queries = n_queries;
    bins->n_subjects = n_subjects;
    bins->n_rows = n_queries < ALIGN_BIN_ROWS ? n_queries : ALIGN_BIN_ROWS;
    bins->n_columns = n_subjects < ALIGN_BIN_COLUMNS ? n_subjects : ALIGN_BIN_COLUMNS;
    return bins;
}

struct align_bins *align_bins_create(uint32_t n_queries, uint32_t n_subjects)
{
    void *block = malloc(align_bins_bytes(n_queries, n_subjects));
    return block ? align_bins_init(block, n_queries, n_subjects) : NULL;
}

void align_bins_offer_block(struct align_bins *bins, uint32_t query_first, uint32_t n_queries, uint32_t subject_first,
                            uint32_t n_subjects, const int32_t *scores)
{
    for (uint32_t q = 0; q < n_queries; q++) {
        size_t row = (size_t)(query_first + q) * bins->n_rows / bins->n_queries;
        int32_t *best = bins->best + row * bins->n_columns;
        for (uint32_t s = 0; s < n_subjects; s++) {
            size_t column = (size_t)(subject_first + s) * bins->n_columns / bins->n_subjects;
            int32_t score = scores[(size_t)q * n_subjects + s];
            if (score > best[column]) best[column] = score;
        }
    }
}

void align_bins_merge(struct align_bins *bins, const struct align_bins *other)
{
    for (size_t i = 0; i < (size_t)bins->n_rows * bins->n_columns; i++)
        if (other->best[i] > bins->best[i]) bins->best[i] = other->best[i];
}

/* log2 of x >= 1 with 16 bits behind the point: the integer part by shifting, each further bit by one squaring. */
static uint32_t log2_fixed(uint32_t x)
{
    uint32_t whole = 31u - (uint32_t)__builtin_clz(x), fraction = 0;
    uint64_t y = (uint64_t)x << (31 - whole); /* in [1, 2) with 31 bits behind the point */
    for (int bit = 0; bit < 16; bit++) {
        y = y * y >> 31;
        fraction <<= 1;
        if (y >> 32) {
            y >>= 1;
            fraction |= 1;
        }
    }
    return whole << 16 | fraction;
}

/* From almost black over purple and orange to pale yellow: brighter is always higher, in grey too. */
static uint32_t colour_of(uint32_t level)
{
    static const uint8_t stops[][3] = {{0, 0, 4}, {40, 11, 84}, {101, 21, 110}, {159, 42, 99}, {212, 72, 66}, {245, 125, 21},
                                       {250, 193, 39}, {252, 255, 164}};
    enum { LAST = sizeof stops / sizeof stops[0] - 1 };
    uint32_t at = level * LAST, i = at / (N_COLOURS - 1), rest = at % (N_COLOURS - 1), colour = 0;
    for (int c = 0; c < 3; c++) {
        uint32_t low = stops[i][c], high = i < LAST ? stops[i + 1][c] : low;
        colour = colour << 8 | (low * (N_COLOURS - 1 - rest) + high * rest) / (N_COLOURS - 1);
    }
    return colour;
}

static uint32_t level_of(const struct layout *l, int32_t score)
{
    uint32_t value = score < 1 ? 0 : log2_fixed((uint32_t)score);
    if (value <= l->log_low) return 0;
    return (uint32_t)((uint64_t)(value - l->log_low) * (N_COLOURS - 1) / (l->log_high - l->log_low));
}

/* The scale runs from the lowest bin to the highest; a hit of the usual kind lies far above the noise floor. */
static void find_range(const struct align_bins *bins, struct layout *l)
{
    int32_t low = INT32_MAX, high = 1;
    for (size_t i = 0; i < (size_t)bins->n_rows * bins->n_columns; i++) {
        int32_t score = bins->best[i];
        if (score > high) high = score;
        if (score > 0 && score < low) low = score;
    }
    if (low > high) low = 1;
    l->log_low = log2_fixed((uint32_t)low);
    l->log_high = log2_fixed((uint32_t)high);
    if (l->log_high == l->log_low) l->log_high++;
}

static struct layout make_layout(const struct align_bins *bins)
{
    struct layout l = {.cell_width = HEAT_WIDTH / (int)bins->n_columns, .cell_height = HEAT_HEIGHT / (int)bins->n_rows};
    if (l.cell_height > CELL_HEIGHT_MAX) l.cell_height = CELL_HEIGHT_MAX;
    l.named = l.cell_height >= NAMED_CELL_HEIGHT && bins->n_rows == bins->n_queries;
    l.heat_width = l.cell_width * (int)bins->n_columns;
    l.heat_height = l.cell_height * (int)bins->n_rows;
    l.heat_x = 2 * MARGIN + (l.named ? NAME_LETTERS : 8) * ALIGN_GLYPH_WIDTH;
    l.heat_y = TITLE_HEIGHT;
    l.width = l.heat_x + l.heat_width + SCALE_SPACE;
    l.height = l.heat_y + (l.heat_height < SCALE_HEIGHT_MIN ? SCALE_HEIGHT_MIN : l.heat_height) + AXIS_HEIGHT;
    find_range(bins, &l);
    return l;
}

static void draw_cells(struct align_canvas *canvas, const struct layout *l, const struct align_bins *bins)
{
    uint32_t colours[N_COLOURS];
    for (uint32_t i = 0; i < N_COLOURS; i++) colours[i] = colour_of(i);
    align_canvas_fill(canvas, l->heat_x - 1, l->heat_y - 1, l->heat_width + 2, l->heat_height + 2, FRAME);
    for (int row = 0; row < (int)bins->n_rows; row++)
        for (int column = 0; column < (int)bins->n_columns; column++) {
            int32_t score = bins->best[(size_t)row * bins->n_columns + (size_t)column];
            align_canvas_fill(canvas, l->heat_x + column * l->cell_width, l->heat_y + row * l->cell_height, l->cell_width,
                              l->cell_height, colours[level_of(l, score)]);
        }
}

/* A step of 1, 2 or 5 times a power of ten that gives at most n_max numbers on the axis. */
static uint32_t tick_step(uint32_t length, uint32_t n_max)
{
    uint32_t step = 1;
    for (int i = 0; length / step > n_max && step < 1000000000u; i++) step = i % 3 == 1 ? step / 2 * 5 : step * 2;
    return step;
}

static void draw_right_aligned(struct align_canvas *canvas, int x_end, int y, const char *text)
{
    align_canvas_text(canvas, x_end - (int)strlen(text) * ALIGN_GLYPH_WIDTH, y, INK, text);
}

static void draw_query_axis(struct align_canvas *canvas, const struct layout *l, const struct align_bins *bins,
                            const struct align_seqs *queries)
{
    char text[NAME_LETTERS + 1];
    int x_end = l->heat_x - 6;
    if (l->named) {
        for (uint32_t q = 0; q < bins->n_queries; q++) {
            snprintf(text, sizeof text, "%s", align_seqs_name(queries, q));
            draw_right_aligned(canvas, x_end, l->heat_y + (int)q * l->cell_height + (l->cell_height - 7) / 2, text);
        }
        return;
    }
    uint32_t step = tick_step(bins->n_queries, (uint32_t)l->heat_height / 40 + 1);
    for (uint32_t number = 1; number <= bins->n_queries; number = number / step * step + step) { /* 1, step, 2 step, ... */
        uint32_t q = number - 1;
        int y = l->heat_y + (int)((uint64_t)q * (uint64_t)l->heat_height / bins->n_queries);
        snprintf(text, sizeof text, "%u", number);
        draw_right_aligned(canvas, x_end, y - (q ? 3 : 0), text);
        align_canvas_fill(canvas, l->heat_x - 5, y, 4, 1, INK);
    }
}

static void draw_subject_axis(struct align_canvas *canvas, const struct layout *l, const struct align_bins *bins)
{
    char text[64];
    int y = l->heat_y + l->heat_height;
    uint32_t step = tick_step(bins->n_subjects, (uint32_t)l->heat_width / 80 + 1);
    for (uint32_t number = 1; number <= bins->n_subjects; number = number / step * step + step) {
        uint32_t s = number - 1;
        int x = l->heat_x + (int)((uint64_t)s * (uint64_t)l->heat_width / bins->n_subjects);
        snprintf(text, sizeof text, "%u", number);
        align_canvas_fill(canvas, x, y + 1, 1, 4, INK);
        align_canvas_text(canvas, x - (int)strlen(text) * ALIGN_GLYPH_WIDTH / 2 + 1, y + 7, INK, text);
    }
    align_canvas_text(canvas, l->heat_x, y + 20, INK, "number of the protein in the database");
}

/* A power-of-two ladder of scores beside the colours, and the two ends. */
static void draw_scale(struct align_canvas *canvas, const struct layout *l)
{
    char text[16];
    int x = l->heat_x + l->heat_width + 2 * MARGIN, height = l->heat_height < SCALE_HEIGHT_MIN ? SCALE_HEIGHT_MIN : l->heat_height;
    align_canvas_text(canvas, x, l->heat_y - 14, INK, "score");
    for (int i = 0; i < height; i++)
        align_canvas_fill(canvas, x, l->heat_y + i, SCALE_WIDTH, 1, colour_of((uint32_t)((height - 1 - i) * (N_COLOURS - 1) / (height - 1))));
    for (uint32_t score = 1; score < 1u << 30; score *= 2) {
        uint32_t value = log2_fixed(score);
        if (value < l->log_low || value > l->log_high) continue;
        int up = (int)((uint64_t)(value - l->log_low) * (uint64_t)(height - 1) / (l->log_high - l->log_low));
        snprintf(text, sizeof text, "%u", score);
        align_canvas_fill(canvas, x + SCALE_WIDTH, l->heat_y + height - 1 - up, 4, 1, INK);
        align_canvas_text(canvas, x + SCALE_WIDTH + 7, l->heat_y + height - 4 - up, INK, text);
    }
}

static void draw_title(struct align_canvas *canvas, const struct layout *l, const struct align_bins *bins)
{
    char text[160];
    int n = snprintf(text, sizeof text, "Smith-Waterman scores (BLOSUM62, gaps 11/1): %u quer%s x %u proteins", bins->n_queries,
                     bins->n_queries == 1 ? "y" : "ies", bins->n_subjects);
    uint32_t per_bin = (bins->n_subjects + bins->n_columns - 1) / bins->n_columns;
    if (per_bin > 1) snprintf(text + n, sizeof text - (size_t)n, ", the best of each %u", per_bin);
    align_canvas_text(canvas, l->named ? MARGIN : l->heat_x, MARGIN - 4, INK, text);
}

int align_picture_write(const struct align_bins *bins, const struct align_seqs *queries, const char *path, struct align_fault *fault)
{
    struct layout l = make_layout(bins);
    struct align_canvas canvas;
    if (align_canvas_init(&canvas, l.width, l.height, BACKGROUND, fault)) return -1;
    draw_title(&canvas, &l, bins);
    draw_cells(&canvas, &l, bins);
    draw_query_axis(&canvas, &l, bins, queries);
    draw_subject_axis(&canvas, &l, bins);
    draw_scale(&canvas, &l);
    int rc = align_canvas_save(&canvas, path, fault);
    align_canvas_fini(&canvas);
    return rc;
}
