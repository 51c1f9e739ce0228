/* patience.c: see patience.h. */
#include "patience.h"

#include "hash.h"

#include <string.h>

static uint32_t place_of(mray_ref ref)
{
    return (uint32_t)(base_hash64(&ref, sizeof ref) % PATIENCE_PLACES);
}

uint64_t patience_for(const patience_t *all, mray_ref ref, uint64_t now_ns)
{
    if (!all->any) return PATIENCE_NS;
    uint32_t i = place_of(ref);
    if (memcmp(&all->places[i].ref, &ref, sizeof ref) != 0) return PATIENCE_NS;
    uint64_t twice_ns = 2 * (now_ns - all->places[i].since_ns);
    return twice_ns < PATIENCE_NS ? PATIENCE_NS : twice_ns < PATIENCE_MAX_NS ? twice_ns : PATIENCE_MAX_NS;
}

void patience_note(patience_t *all, mray_ref ref, uint64_t since_ns)
{
    uint32_t i = place_of(ref);
    all->any = true;
    all->places[i].ref = ref;
    all->places[i].since_ns = since_ns;
}
