/* segment.c: creating and mapping segments. */
#include "segment.h"

#include "endpoint.h"
#include "error.h"
#include "record.h"
#include "trace_ring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SLOT_BYTES = 64, CHUNK_ITEMS = 64, PAGE = 4096 };
static const uint64_t SEG_MAGIC = 0x6d7261792d736567; /* "mray-seg" */

static uint64_t align_up(uint64_t x, uint64_t a)
{
    return (x + a - 1) / a * a;
}

/* Lay one pool's bookkeeping at *off_p; the items follow later. */
static void lay_pool(seg_pool_t *pool, uint32_t n_items, uint32_t item_bytes, uint64_t *off_p)
{
    pool->n_chunks = (uint32_t)(align_up(n_items, CHUNK_ITEMS) / CHUNK_ITEMS);
    pool->item_bytes = item_bytes;
    uint64_t off = align_up(*off_p, PAGE);
    pool->hints_off = off;
    off += 8ull * pool->n_chunks;
    pool->summary_off = off = align_up(off, SEG_CACHE_LINE);
    off += 8ull * ((pool->n_chunks + 63) / 64);
    pool->owner_off = off = align_up(off, SEG_CACHE_LINE);
    off += 2ull * pool->n_chunks;
    *off_p = off;
}

static void lay_items(seg_pool_t *pool, uint64_t *off_p)
{
    pool->items_off = align_up(*off_p, PAGE);
    *off_p = pool->items_off + (uint64_t)pool->n_chunks * CHUNK_ITEMS * pool->item_bytes;
}

/* At most half full if the copies spread evenly over the ranks of the node. Untouched pages cost nothing. */
static void lay_copies(seg_copies_t *copies, uint32_t n_slots, uint64_t *off_p)
{
    copies->n_entries = 1;
    while (copies->n_entries < 2 * n_slots) copies->n_entries *= 2;
    copies->entries_off = align_up(*off_p, PAGE);
    copies->origins_off = align_up(copies->entries_off + (uint64_t)copies->n_entries * sizeof(seg_copy_t), PAGE);
    *off_p = copies->origins_off + (uint64_t)n_slots * sizeof(seg_origin_t);
}

static void lay_out(seg_header_t *h, const seg_config_t *config)
{
    uint64_t off = align_up(sizeof *h, PAGE);
    h->eps_off = off;
    off += SEG_MAX_EPS * sizeof(ep_shared_t);
    lay_pool(&h->slots, config->n_slots, SLOT_BYTES, &off);
    lay_pool(&h->records, config->n_records, sizeof(record_t), &off);
    lay_copies(&h->copies, h->slots.n_chunks * CHUNK_ITEMS, &off);
    lay_items(&h->slots, &off);
    lay_items(&h->records, &off);
    h->arena_meta_off = off = align_up(off, PAGE);
    off += config->arena_meta_bytes;
    h->arena_off = off = align_up(off, 2 << 20);
    h->arena_bytes = config->arena_bytes;
    h->trace_off = align_up(off + config->arena_bytes, PAGE);
    h->trace_slots = config->trace_slots;
    h->trace_counter = config->trace_counter;
    h->bytes = h->trace_off + (config->trace_slots > 0 ? SEG_MAX_EPS * trace_ring_bytes(config->trace_slots) : 0);
}

static int map_both(int fd, uint64_t bytes, segment_t *seg)
{
    void *rw = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (rw == MAP_FAILED)
        return base_error_errno(MRAY_ERR_OUT_OF_MEMORY, "cannot map a segment of %llu bytes; lower MRAY_STORE_BYTES",
                                (unsigned long long)bytes);
    void *ro = mmap(NULL, bytes, PROT_READ, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (ro == MAP_FAILED) {
        int status = base_error_errno(MRAY_ERR_OUT_OF_MEMORY, "cannot map a segment of %llu bytes read-only; lower MRAY_STORE_BYTES",
                                      (unsigned long long)bytes);
        munmap(rw, bytes);
        return status;
    }
    /* Huge pages where the system grants them to shared memory; a refusal costs only speed. */
    (void)madvise(rw, bytes, MADV_HUGEPAGE);
    *seg = (segment_t){.rw = rw, .ro = ro, .hdr = rw, .bytes = bytes};
    return MRAY_OK;
}

/* The header is there. */
static void find_pools(segment_t *seg)
{
    seg->slots = seg->rw + seg->hdr->slots.items_off;
    seg->records = seg->rw + seg->hdr->records.items_off;
}

int seg_create(const seg_config_t *config, uint32_t epoch, uint32_t rank, segment_t *seg_p, seg_name_t *name_p)
{
    seg_header_t layout = {.magic = SEG_MAGIC, .epoch = epoch, .rank = rank};
    lay_out(&layout, config);
    int fd = memfd_create("mray", MFD_CLOEXEC);
    if (fd < 0) return base_error_errno(MRAY_ERR_SYSTEM, "memfd_create failed");
    if (ftruncate(fd, (off_t)layout.bytes) != 0) {
        int status = base_error_errno(MRAY_ERR_OUT_OF_MEMORY, "cannot make a segment of %llu bytes; lower MRAY_STORE_BYTES",
                                      (unsigned long long)layout.bytes);
        close(fd);
        return status;
    }
    int status = map_both(fd, layout.bytes, seg_p);
    if (status != MRAY_OK) {
        close(fd);
        return status;
    }
    memcpy(seg_p->hdr, &layout, sizeof layout);
    find_pools(seg_p);
    *name_p = (seg_name_t){.pid = (int32_t)getpid(), .fd = fd, .bytes = layout.bytes};
    return MRAY_OK;
}

int seg_map(const seg_name_t *name, segment_t *seg_p)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd/%d", name->pid, name->fd);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return base_error_errno(MRAY_ERR_SYSTEM, "cannot open the segment of process %d on this node by %s (ranks of one node must share one "
                                "process namespace and one user)", name->pid, path);
    int status = map_both(fd, name->bytes, seg_p);
    close(fd);
    if (status == MRAY_OK && seg_p->hdr->magic != SEG_MAGIC) {
        seg_unmap(seg_p);
        return base_error(MRAY_ERR_INTERNAL, "what %s names is no segment", path);
    }
    if (status == MRAY_OK) find_pools(seg_p);
    return status;
}

void seg_unmap(segment_t *seg)
{
    if (seg->rw == NULL) return;
    munmap(seg->rw, seg->bytes);
    munmap((void *)(uintptr_t)seg->ro, seg->bytes);
    *seg = (segment_t){0};
}

void seg_close_fd(seg_name_t *name)
{
    if (name->fd >= 0) close(name->fd);
    name->fd = -1;
}

static void prefault(char *p, uint64_t bytes)
{
    uint64_t a = (uint64_t)(uintptr_t)p / PAGE * PAGE;
#ifdef MADV_POPULATE_WRITE
    if (bytes > 0) (void)madvise((void *)(uintptr_t)a, bytes, MADV_POPULATE_WRITE); /* Linux 5.14; older ones fault on use */
#else
    (void)a, (void)bytes;
#endif
}

void seg_prefault(const segment_t *seg, uint64_t slot_bytes, uint64_t record_bytes, uint64_t arena_bytes)
{
    const seg_header_t *h = seg->hdr;
    uint64_t max_slots = (uint64_t)h->slots.n_chunks * CHUNK_ITEMS * SLOT_BYTES;
    uint64_t max_records = (uint64_t)h->records.n_chunks * CHUNK_ITEMS * sizeof(record_t);
    prefault(seg->rw + h->slots.items_off, slot_bytes < max_slots ? slot_bytes : max_slots);
    prefault(seg->rw + h->records.items_off, record_bytes < max_records ? record_bytes : max_records);
    prefault(seg->rw + h->arena_off, arena_bytes < h->arena_bytes ? arena_bytes : h->arena_bytes);
}
