/* canvas.h: an RGB picture in memory: rectangles, text in a 5 x 7 font, and saving as PNG. */
#ifndef ALIGN_CANVAS_H
#define ALIGN_CANVAS_H

#include "fault.h"

#include <stdint.h>

enum { ALIGN_GLYPH_WIDTH = 6, ALIGN_GLYPH_HEIGHT = 8 }; /* with the space between letters and lines */

struct align_canvas {
    int width, height;
    uint8_t *rgb; /* height rows of width x 3 bytes */
};

/* Colours are 0xRRGGBB. */
int align_canvas_init(struct align_canvas *canvas, int width, int height, uint32_t background, struct align_fault *fault);
void align_canvas_fini(struct align_canvas *canvas);

/* What lies outside is cut off. */
void align_canvas_fill(struct align_canvas *canvas, int x, int y, int width, int height, uint32_t colour);

/* Bytes outside ASCII are drawn as '?'. */
void align_canvas_text(struct align_canvas *canvas, int x, int y, uint32_t colour, const char *text);

/* The file's bytes depend on the pixels only (and on the version of libpng and zlib): no time, no name. */
int align_canvas_save(const struct align_canvas *canvas, const char *path, struct align_fault *fault);

#endif
