/* blocks.h: lays blocks of consecutive cores so that as few as possible cross a NUMA or package boundary. */
#ifndef MRAY_TOPO_BLOCKS_H
#define MRAY_TOPO_BLOCKS_H

#include <stdbool.h>

/* One block: the cores of one rank. */
typedef struct {
    int size;      /* in: cores; out: changed by at most 1 where elastic */
    bool elastic;  /* may exchange single cores with other elastic blocks */
    int start;     /* out: index of its first core */
} topo_block_t;

/* Place n_blocks blocks in their order on n_cores cores, without overlap. edge_cost[i] is what it costs to have cores i and
 * i+1 in one block (0 for neighbours of one cache group, more the higher the boundary). If the sizes fill all the cores,
 * blocks may take elastic sizes (which must differ by at most 1, and their total stays); if there is room, they keep their
 * sizes and may leave gaps. The least total cost wins; of equals, the layout that is packed to the left and has its larger
 * blocks first. Returns MRAY_OK or MRAY_ERR_OUT_OF_MEMORY. */
int topo_blocks_place(const int *edge_cost, int n_cores, topo_block_t *blocks, int n_blocks) __attribute__((warn_unused_result));

#endif
