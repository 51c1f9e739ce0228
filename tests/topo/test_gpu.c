/* test_gpu.c: GPUs of made-up machines, and what the environment leaves of them. */
#include "gpu.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define OSDEV(name, type, index) "<object type=\"OSDev\" gp_index=\"" index "\" name=\"" name "\" osdev_type=\"" type "\"/>"
#define PCI(bus, class_vendor, index, devices)                                                                       \
    "<object type=\"PCIDev\" gp_index=\"" index "\" pci_busid=\"0000:" bus "\" pci_type=\"" class_vendor                \
    " [0000:0000] 00\" pci_link_speed=\"0.0\">" devices "</object>"

/* osdev_type: 1 is a GPU, 2 network, 5 a co-processor. Counted: 01 (three OS devices, once), 02, 04 and 06. */
static const char machine_xml[] =
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?><!DOCTYPE topology SYSTEM \"hwloc2.dtd\"><topology version=\"2.0\">"
    "<object type=\"Machine\" os_index=\"0\" cpuset=\"0x1\" complete_cpuset=\"0x1\" allowed_cpuset=\"0x1\" nodeset=\"0x1\" "
    "complete_nodeset=\"0x1\" allowed_nodeset=\"0x1\" gp_index=\"1\">"
    "<object type=\"NUMANode\" os_index=\"0\" cpuset=\"0x1\" complete_cpuset=\"0x1\" nodeset=\"0x1\" complete_nodeset=\"0x1\" "
    "gp_index=\"2\" local_memory=\"1\"/>"
    "<object type=\"PU\" os_index=\"0\" cpuset=\"0x1\" complete_cpuset=\"0x1\" nodeset=\"0x1\" complete_nodeset=\"0x1\" "
    "gp_index=\"3\"/>"
    "<object type=\"Bridge\" gp_index=\"4\" bridge_type=\"0-1\" depth=\"0\" bridge_pci=\"0000:[00-10]\">"
    PCI("01:00.0", "0302 [10de:2330]", "10", OSDEV("card1", "1", "11") OSDEV("renderD128", "1", "12") OSDEV("cuda0", "5", "13"))
    PCI("02:00.0", "0302 [10de:2330]", "20", "")
    PCI("02:00.1", "0403 [10de:22ba]", "21", "")
    PCI("02:00.2", "0302 [10de:2330]", "22", "")
    PCI("03:00.0", "0300 [1a03:2000]", "30", OSDEV("card0", "1", "31"))
    PCI("04:00.0", "0380 [1002:740f]", "40", OSDEV("card2", "1", "41"))
    PCI("05:00.0", "0200 [8086:1563]", "50", OSDEV("eth0", "2", "51"))
    PCI("06:00.0", "1200 [8086:0bd5]", "60", OSDEV("ze0", "5", "61"))
    "</object></object></topology>";

static void use_machine(void)
{
    char name[] = "/tmp/mray-test-gpu-XXXXXX";
    int fd = mkstemp(name);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, machine_xml, sizeof machine_xml - 1), sizeof machine_xml - 1);
    close(fd);
    setenv("HWLOC_XMLFILE", name, 1);
}

static void drop_machine(void)
{
    unlink(getenv("HWLOC_XMLFILE"));
    unsetenv("HWLOC_XMLFILE");
}

static int clear_environment(void **state)
{
    (void)state;
    unsetenv("MRAY_GPUS");
    unsetenv("CUDA_VISIBLE_DEVICES");
    unsetenv("HWLOC_SYNTHETIC");
    return 0;
}

static int count(const char *forced, const char *visible)
{
    topo_gpus_t gpus = {-5, 0};
    if (forced != NULL) setenv("MRAY_GPUS", forced, 1);
    if (visible != NULL) setenv("CUDA_VISIBLE_DEVICES", visible, 1);
    topo_gpus_read(&gpus);
    clear_environment(NULL);
    return gpus.n_gpus;
}

static void test_each_card_counts_once_and_display_chips_do_not(void **state)
{
    (void)state;
    use_machine();
    assert_int_equal(topo_gpus_present(), 4);
    drop_machine();
}

static void test_visible_devices_limit(void **state)
{
    (void)state;
    use_machine();
    assert_int_equal(count(NULL, NULL), 4);
    assert_int_equal(count(NULL, "1,2"), 2);
    assert_int_equal(count(NULL, ""), 0);
    assert_int_equal(count(NULL, "7"), 0);
    drop_machine();
}

static void test_override_decides_alone(void **state)
{
    (void)state;
    use_machine();
    assert_int_equal(count("9", "1"), 9);
    assert_int_equal(count("0", NULL), 0);
    assert_int_equal(count("", "1"), 1);
    assert_int_equal(count("many", NULL), 4);
    assert_int_equal(count("-1", NULL), 4);
    drop_machine();
}

static void test_different_lists_are_different_groups(void **state)
{
    (void)state;
    topo_gpus_t a, b, c;
    use_machine();
    setenv("CUDA_VISIBLE_DEVICES", "0", 1);
    topo_gpus_read(&a);
    topo_gpus_read(&b);
    setenv("CUDA_VISIBLE_DEVICES", "1", 1);
    topo_gpus_read(&c);
    assert_true(a.group == b.group);
    assert_true(a.group != c.group);
    drop_machine();
}

static void test_cuda_rules(void **state)
{
    (void)state;
    assert_int_equal(topo_gpus_visible(NULL, 3), 3);
    assert_int_equal(topo_gpus_visible("", 3), 0);
    assert_int_equal(topo_gpus_visible("-1", 3), 0);
    assert_int_equal(topo_gpus_visible("NoDevFiles", 3), 0);
    assert_int_equal(topo_gpus_visible("0,2", 3), 2);
    assert_int_equal(topo_gpus_visible(" 0 , 2 ", 3), 2);
    assert_int_equal(topo_gpus_visible("0,-1,2", 3), 1);
    assert_int_equal(topo_gpus_visible("0,5,2", 3), 1);
    assert_int_equal(topo_gpus_visible("0,1,", 3), 2);
    assert_int_equal(topo_gpus_visible("GPU-8932f937,MIG-1/2/3", 3), 2);
    assert_int_equal(topo_gpus_visible("0,1", 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_each_card_counts_once_and_display_chips_do_not, clear_environment),
        cmocka_unit_test_setup(test_visible_devices_limit, clear_environment),
        cmocka_unit_test_setup(test_override_decides_alone, clear_environment),
        cmocka_unit_test_setup(test_different_lists_are_different_groups, clear_environment),
        cmocka_unit_test(test_cuda_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
