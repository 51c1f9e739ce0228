/* gpu.c: counts PCI devices that compute.
 *
 * One card shows up as several OS devices (card0, renderD128, nvml0, cuda0), so the PCI device is what is counted. hwloc's
 * components that start CUDA, OpenCL and the like stay off: they take long, and a process that has started CUDA must not
 * fork. libpciaccess stays off too: it leaks. What remains comes from sysfs: a DRM or accelerator device below a PCI device, or
 * a PCI device of display or accelerator class. The graphics of a server's management chip is a DRM device too, so those two
 * count for AMD and NVIDIA only; an OS device of a compute library counts whoever made it. A container sees the host's PCI
 * bus without being allowed the cards, so the vendor's device file must be there as well. */
#include "gpu.h"
#include "hash.h"
#include "log.h"

#include <hwloc.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { VENDOR_NVIDIA = 0x10de, VENDOR_AMD = 0x1002, MAX_GPUS = 1024 };

static bool is_drm(const char *name)
{
    return name == NULL || strncmp(name, "card", 4) == 0 || strncmp(name, "renderD", 7) == 0 || strncmp(name, "controlD", 8) == 0;
}

/* True if this device computes: by vendor and class, or by an OS device that a compute library made. */
static bool pci_computes(hwloc_obj_t pci, bool this_system)
{
    unsigned vendor = pci->attr->pcidev.vendor_id, class_base = pci->attr->pcidev.class_id >> 8;
    bool known = (vendor == VENDOR_NVIDIA || vendor == VENDOR_AMD) && pci->attr->pcidev.func == 0;
    bool computes = known && (class_base == 0x03 || class_base == 0x12);
    for (hwloc_obj_t os = pci->io_first_child; os != NULL; os = os->next_sibling) {
        if (os->type != HWLOC_OBJ_OS_DEVICE) continue;
        hwloc_obj_osdev_type_t type = os->attr->osdev.type;
        if (type == HWLOC_OBJ_OSDEV_COPROC) computes = true;
        if (type == HWLOC_OBJ_OSDEV_GPU && (known || !is_drm(os->name))) computes = true;
    }
    if (!computes || !this_system) return computes;
    if (vendor == VENDOR_NVIDIA) return access("/dev/nvidiactl", F_OK) == 0 || access("/dev/dxg", F_OK) == 0;
    if (vendor == VENDOR_AMD) return access("/dev/kfd", F_OK) == 0;
    return true;
}

int topo_gpus_present(void)
{
    static const char *const off[] = {"cuda", "nvml", "opencl", "rsmi", "levelzero", "gl", "pci"};
    hwloc_topology_t topology;
    int n = 0;
    if (hwloc_topology_init(&topology) != 0) return 0;
    /* An error says that the component is not installed. */
    for (size_t i = 0; i < sizeof off / sizeof off[0]; i++)
        (void)hwloc_topology_set_components(topology, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST, off[i]);
    hwloc_topology_set_all_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_NONE);
    hwloc_topology_set_io_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_IMPORTANT);
    if (hwloc_topology_load(topology) == 0) {
        bool this_system = hwloc_topology_is_thissystem(topology) != 0;
        for (hwloc_obj_t pci = NULL; (pci = hwloc_get_next_pcidev(topology, pci)) != NULL;)
            if (pci_computes(pci, this_system) && n < MAX_GPUS) n++;
    }
    hwloc_topology_destroy(topology);
    return n;
}

/* True if the entry of len characters names a device: an ordinal below n_present, or a UUID (always believed). */
static bool entry_valid(const char *entry, size_t len, int n_present)
{
    if (len > 4 && (strncmp(entry, "GPU-", 4) == 0 || strncmp(entry, "MIG-", 4) == 0)) return true;
    if (len == 0 || len > 4) return false;
    int value = 0;
    for (size_t i = 0; i < len; i++) {
        if (entry[i] < '0' || entry[i] > '9') return false;
        value = value * 10 + (entry[i] - '0');
    }
    return value < n_present;
}

int topo_gpus_visible(const char *visible, int n_present)
{
    if (visible == NULL || n_present == 0) return n_present;
    int n = 0;
    for (const char *p = visible; n < MAX_GPUS;) {
        p += strspn(p, " ");
        size_t len = strcspn(p, ", ");
        if (!entry_valid(p, len, n_present)) break;
        n++;
        p += len;
        p += strspn(p, " ");
        if (*p++ != ',') break;
    }
    return n;
}

void topo_gpus_read(topo_gpus_t *gpus_p)
{
    const char *forced = getenv("MRAY_GPUS"), *visible = getenv("CUDA_VISIBLE_DEVICES");
    *gpus_p = (topo_gpus_t){0};
    if (forced != NULL && forced[0] != '\0') {
        char *end;
        long n = strtol(forced, &end, 10);
        if (*end == '\0' && n >= 0 && n <= MAX_GPUS) {
            gpus_p->n_gpus = (int)n;
            return;
        }
        log_warn("MRAY_GPUS=%s is not a number from 0 to %d; the GPUs found are used", forced, MAX_GPUS);
    }
    if (visible != NULL && topo_gpus_visible(visible, MAX_GPUS) == 0) return; /* "" or "-1": spare the search */
    gpus_p->n_gpus = topo_gpus_visible(visible, topo_gpus_present());
    if (visible != NULL) gpus_p->group = base_hash_name(visible);
}
