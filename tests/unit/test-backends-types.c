/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What only some backends do: registering types, and parents that are virtual functions.
 */

#include <fcntl.h>

#include "bench.h"

#include <glib/gstdio.h>
#include "core/scan.h"
#include "sim/sim-internal.h"

/* Types that the driver does not take: said, and nothing else. */
static void test_own_types(void) {
        Bench *b = bench_new(&bench_rows[1]);

        g_assert_cmpint(b->result.report.state, ==, GPU_READY);
        g_assert_cmpstr(b->result.report.reason, !=, "");
        g_assert_cmpint(bench_find_type(b, "mtty-1")->source, ==, TYPE_SOURCE_DRIVER);
        g_assert_cmpint(bench_sync(b, NULL, 0, true), ==, 0);
        g_assert_cmpstr(b->result.report.reason, ==, "");
        bench_free(b);
}

static void test_register(void) {
        Bench *b = bench_new(&bench_rows[0]);
        TypeSpec changed[2] = { bench_specs[0], bench_specs[1] };
        const TypeReport *type = bench_find_type(b, TYPE_2);

        g_assert_cmpint(type->source, ==, TYPE_SOURCE_PROFILE);
        g_assert_cmpstr(type->name, ==, "Large");
        g_assert_cmpuint(type->framebuffer, ==, 3 * GIB);
        g_assert_cmpuint(type->max_instances, ==, 9);
        g_assert_cmpstr(bench_find_type(b, TYPE_1)->class, ==, "Compute");
        g_assert_cmpstr(b->result.report.model, ==, "Simulated GPU");
        g_assert_cmpuint(b->result.report.framebuffer_total, ==, 8 * GIB);

        /* Nothing is changed where it must not be. */
        changed[1].framebuffer = 7 * GIB;
        g_assert_cmpint(bench_sync(b, changed, 2, false), ==, 0);
        g_assert_cmpint(bench_find_type(b, TYPE_2)->registration, ==, REGISTRATION_DIFFERS);
        g_assert_cmpuint(bench_find_type(b, TYPE_2)->framebuffer, ==, 3 * GIB);
        g_assert_cmpint(bench_sync(b, changed, 1, false), ==, 0);
        g_assert_cmpint(bench_find_type(b, TYPE_2)->registration, ==, REGISTRATION_RETIRED);

        g_assert_cmpint(bench_sync(b, changed, 2, true), ==, 0);
        g_assert_cmpuint(bench_find_type(b, TYPE_2)->framebuffer, ==, 7 * GIB);
        g_assert_cmpint(bench_find_type(b, TYPE_2)->registration, ==, REGISTRATION_REGISTERED);
        g_assert_cmpint(bench_sync(b, NULL, 0, true), ==, 0);
        g_assert_cmpuint(b->result.report.n_types, ==, 0);
        g_assert_cmpint(b->result.report.state, ==, GPU_READY);
        bench_free(b);
}

/* One that is refused keeps no other away; where all are, what there was stays. */
static void test_refused(void) {
        Bench *b = bench_new(&bench_rows[0]);
        TypeSpec wanted[3] = { bench_specs[0], bench_specs[1], bench_specs[0] };

        wanted[1].framebuffer = 9 * GIB;
        wanted[2].id = 3;
        g_assert_cmpint(bench_sync(b, wanted, 3, true), ==, 0);
        g_assert_cmpuint(b->result.report.n_types, ==, 3);
        g_assert_cmpint(bench_find_type(b, TYPE_1)->registration, ==, REGISTRATION_REGISTERED);
        g_assert_cmpint(bench_find_type(b, TYPE_2)->registration, ==, REGISTRATION_REFUSED);
        g_assert_nonnull(strstr(bench_find_type(b, TYPE_2)->reason, "framebuffer"));
        g_assert_cmpint(bench_find_type(b, "mdevgpu_ref-3")->registration, ==, REGISTRATION_REGISTERED);
        g_assert_false(b->result.report.pending_types);
        g_assert_cmpint(bench_create(b, TYPE_2, UUID_1), ==, -ERROR_NO_SUCH_TYPE);

        wanted[0].framebuffer = 10 * GIB;
        g_assert_cmpint(bench_sync(b, wanted, 1, true), ==, 0);
        g_assert_cmpint(bench_find_type(b, TYPE_1)->registration, ==, REGISTRATION_DIFFERS);
        g_assert_cmpuint(bench_find_type(b, TYPE_1)->framebuffer, ==, 2 * GIB);
        g_assert_cmpint(bench_find_type(b, "mdevgpu_ref-3")->registration, ==, REGISTRATION_RETIRED);
        g_assert_cmpint(bench_create(b, TYPE_1, UUID_1), ==, 0);
        bench_free(b);
}

static void test_pending(void) {
        Bench *b = bench_new(&bench_rows[0]);
        TypeSpec wanted[3] = { bench_specs[0], bench_specs[1], bench_specs[0] };

        wanted[2].id = 3;
        g_assert_cmpint(bench_create(b, TYPE_1, UUID_1), ==, 0);
        g_assert_cmpint(bench_sync(b, wanted, 3, true), ==, 0);
        g_assert_true(b->result.report.pending_types);
        g_assert_cmpint(bench_find_type(b, "mdevgpu_ref-3")->registration, ==, REGISTRATION_PENDING);
        g_assert_cmpint(bench_find_type(b, TYPE_1)->registration, ==, REGISTRATION_REGISTERED);
        g_assert_cmpuint(b->result.report.n_vgpus, ==, 1);
        g_assert_cmpint(bench_create(b, "mdevgpu_ref-3", UUID_2), ==, -ERROR_NO_SUCH_TYPE);

        g_assert_cmpint(bench_remove(b, UUID_1), ==, 0);
        g_assert_cmpint(bench_sync(b, wanted, 3, true), ==, 0);
        g_assert_false(b->result.report.pending_types);
        g_assert_cmpint(bench_create(b, "mdevgpu_ref-3", UUID_2), ==, 0);
        bench_free(b);
}

/* Of a set with a new type all the rest is done at once: an edit, a type less, a type that the driver refuses. */
static void test_pending_part(void) {
        Bench *b = bench_new(&bench_rows[0]);
        TypeSpec wanted[3] = { bench_specs[0], bench_specs[0], bench_specs[0] };

        g_assert_cmpint(bench_create(b, TYPE_2, UUID_1), ==, 0);
        wanted[0].max_instances = 1;
        wanted[1].id = 3;
        wanted[2].id = 4;
        wanted[2].framebuffer = 9 * GIB;
        g_assert_cmpint(bench_sync(b, wanted, 3, true), ==, 0);
        g_assert_cmpint(bench_find_type(b, TYPE_1)->registration, ==, REGISTRATION_REGISTERED);
        g_assert_cmpuint(bench_find_type(b, TYPE_1)->max_instances, ==, 1);
        g_assert_cmpint(bench_find_type(b, TYPE_2)->registration, ==, REGISTRATION_RETIRED);
        g_assert_cmpint(bench_find_type(b, "mdevgpu_ref-3")->registration, ==, REGISTRATION_PENDING);
        g_assert_nonnull(strstr(bench_find_type(b, "mdevgpu_ref-3")->reason, "done when the last one goes"));
        g_assert_cmpint(bench_find_type(b, "mdevgpu_ref-4")->registration, ==, REGISTRATION_REFUSED);
        g_assert_true(b->result.report.pending_types);

        /* What waits can be edited, and waits on; so can what is there, at once. */
        wanted[0].max_instances = 2;
        wanted[1].max_instances = 3;
        g_assert_cmpint(bench_sync(b, wanted, 2, true), ==, 0);
        g_assert_cmpuint(bench_find_type(b, TYPE_1)->max_instances, ==, 2);
        g_assert_cmpint(bench_find_type(b, "mdevgpu_ref-3")->registration, ==, REGISTRATION_PENDING);
        g_assert_cmpuint(bench_find_type(b, "mdevgpu_ref-3")->max_instances, ==, 3);

        g_assert_cmpint(bench_remove(b, UUID_1), ==, 0);
        g_assert_cmpint(bench_sync(b, wanted, 2, true), ==, 0);
        g_assert_cmpuint(b->result.report.n_types, ==, 2);
        g_assert_cmpint(bench_find_type(b, "mdevgpu_ref-3")->registration, ==, REGISTRATION_REGISTERED);
        g_assert_false(b->result.report.pending_types);
        bench_free(b);
}

/* With a profile that wants to be asked, edits of what is there do not wait for that. */
static void test_pending_manual(void) {
        Bench *b = bench_new(&bench_rows[0]);
        TypeSpec wanted[2] = { bench_specs[0], bench_specs[0] };

        wanted[1].id = 3;
        wanted[0].pending_manual = wanted[1].pending_manual = true;
        g_assert_cmpint(bench_create(b, TYPE_1, UUID_1), ==, 0);
        g_assert_cmpint(bench_sync(b, wanted, 2, true), ==, 0);
        g_assert_nonnull(strstr(bench_find_type(b, "mdevgpu_ref-3")->reason, "the next reload"));

        g_assert_cmpint(bench_remove(b, UUID_1), ==, 0);
        wanted[0].max_instances = 1;
        g_assert_cmpint(bench_sync(b, wanted, 2, true), ==, 0);
        g_assert_cmpuint(bench_find_type(b, TYPE_1)->max_instances, ==, 1);
        g_assert_cmpint(bench_find_type(b, "mdevgpu_ref-3")->registration, ==, REGISTRATION_PENDING);
        g_assert_true(b->result.report.pending_types);

        g_assert_cmpint(bench_job(b, &(Job){ .kind = JOB_SYNC,
                                             .types = wanted,
                                             .n_types = 2,
                                             .may_register = true,
                                             .apply_pending = true }),
                        ==, 0);
        g_assert_cmpint(bench_find_type(b, "mdevgpu_ref-3")->registration, ==, REGISTRATION_REGISTERED);
        g_assert_false(b->result.report.pending_types);
        bench_free(b);
}

static int never_store(const Host *host, int dir_fd, const char *path, const char *text) {
        g_test_message("%s is written to %s", text, path);
        g_test_fail();
        return -EIO;
}

/* More than the framebuffer is refused with numbers, and without a question to the driver. */
static void test_overcommit(void) {
        Bench *b = bench_new(&bench_rows[0]);

        g_assert_cmpint(bench_create(b, TYPE_2, UUID_1), ==, 0);
        g_assert_cmpint(bench_create(b, TYPE_2, UUID_2), ==, 0);
        b->machine->host_ops.store = never_store;
        g_assert_cmpint(bench_create(b, TYPE_2, UUID_3), ==, -ERROR_NO_INSTANCES);
        g_assert_nonnull(strstr(b->result.error.message, " has 0 MiB of framebuffer left, "));
        g_assert_nonnull(strstr(b->result.error.message, TYPE_2 " needs 4096 MiB;"));
        bench_free(b);
}

/* What needs no new type is done under a vGPU, and what is left over of it goes after the last one. */
static void test_in_place(void) {
        Bench *b = bench_new(&bench_rows[0]);
        TypeSpec wanted[1] = { bench_specs[0] };

        g_assert_cmpint(bench_create(b, TYPE_2, UUID_1), ==, 0);
        wanted[0].max_instances = 1;
        g_assert_cmpint(bench_sync(b, wanted, 1, true), ==, 0);
        g_assert_cmpint(bench_find_type(b, TYPE_1)->registration, ==, REGISTRATION_REGISTERED);
        g_assert_cmpuint(bench_find_type(b, TYPE_1)->max_instances, ==, 1);
        g_assert_cmpint(bench_find_type(b, TYPE_2)->registration, ==, REGISTRATION_RETIRED);
        g_assert_cmpuint(bench_find_type(b, TYPE_2)->available, ==, 0);
        g_assert_true(b->result.report.pending_types);
        g_assert_cmpuint(b->result.report.n_vgpus, ==, 1);
        g_assert_cmpint(bench_create(b, TYPE_2, UUID_2), ==, -ERROR_NO_INSTANCES);

        g_assert_cmpint(bench_remove(b, UUID_1), ==, 0);
        g_assert_cmpint(bench_sync(b, wanted, 1, true), ==, 0);
        g_assert_cmpuint(b->result.report.n_types, ==, 1);
        g_assert_false(b->result.report.pending_types);
        bench_free(b);
}

/* Somebody else has the control channel: he is named, and nothing is touched. */
static void test_owned(void) {
        Bench *b = bench_new(&bench_rows[0]);
        g_autofree char *number = g_strdup_printf("process %i ", (int)getpid());
        const Host *host = &b->machine->sim.host;
        int fd;

        runner_done(&b->worker);
        fd = host->ops->open_node(host, "mdevgpu/gpu0", O_RDWR);
        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpint(bench_sync(b, bench_specs, 1, true), ==, -ERROR_BUSY);
        g_assert_nonnull(strstr(b->result.error.message, number));
        fd_close(fd);
        g_assert_cmpint(bench_sync(b, bench_specs, 2, true), ==, 0);
        g_assert_cmpuint(b->result.report.n_types, ==, 2);
        bench_free(b);
}

#define PF "0000:43:00.0"
#define VF_TYPE "nvidia-530"

static const char *const vfs[] = { "0000:43:00.4", "0000:43:00.5" };

static const char *vf_path(const char *name) {
        static char path[128];

        (void)snprintf(path, sizeof(path), "devices/pci0000:40/%s", name);
        return path;
}

static void make_pci(const SimHost *sim, const char *name, const char *class) {
        static char target[160];

        g_assert_cmpint(sim_mkdir(sim, "sys/%s", vf_path(name)), ==, 0);
        g_assert_cmpint(sim_write(sim, class, 0444, "sys/%s/class", vf_path(name)), ==, 0);
        g_assert_cmpint(sim_write(sim, "0x10de\n", 0444, "sys/%s/vendor", vf_path(name)), ==, 0);
        g_assert_cmpint(sim_symlink(sim, "sys/bus/pci/drivers/nvidia", "sys/%s/driver", vf_path(name)), ==, 0);
        (void)snprintf(target, sizeof(target), "sys/%s", vf_path(name));
        g_assert_cmpint(sim_symlink(sim, target, "sys/bus/pci/devices/%s", name), ==, 0);
}

/* A card on each of whose two virtual functions one vGPU can be made. */
static void make_card_with_vfs(const SimHost *sim) {
        g_assert_cmpint(sim_mkdir(sim, "sys/class/mdev_bus"), ==, 0);
        make_pci(sim, PF, "0x030200\n");
        for (unsigned i = 0; i < 2; i++) {
                char types[200], target[160];

                make_pci(sim, vfs[i], "0x030200\n");
                (void)snprintf(target, sizeof(target), "sys/%s", vf_path(PF));
                g_assert_cmpint(sim_symlink(sim, target, "sys/%s/physfn", vf_path(vfs[i])), ==, 0);
                (void)snprintf(target, sizeof(target), "sys/%s", vf_path(vfs[i]));
                g_assert_cmpint(sim_symlink(sim, target, "sys/devices/pci0000:40/" PF "/virtfn%u", i), ==, 0);
                g_assert_cmpint(sim_symlink(sim, target, "sys/class/mdev_bus/%s", vfs[i]), ==, 0);

                (void)snprintf(types, sizeof(types), "sys/%s/mdev_supported_types/" VF_TYPE, vf_path(vfs[i]));
                g_assert_cmpint(sim_mkdir(sim, "%s/devices", types), ==, 0);
                g_assert_cmpint(sim_write(sim, "1\n", 0444, "%s/available_instances", types), ==, 0);
                g_assert_cmpint(sim_write(sim, "GRID A100-1\n", 0444, "%s/name", types), ==, 0);
                g_assert_cmpint(sim_write(sim, "vfio-pci\n", 0444, "%s/device_api", types), ==, 0);
                g_assert_cmpint(sim_write(sim, "", 0200, "%s/create", types), ==, 0);
        }
}

/* The driver of that card: EINVAL where nothing is left. */
static int vf_store(const Host *host, int dir_fd, const char *path, const char *text) {
        const SimHost *sim = host->userdata;
        char vf[64], folder[300], target[400];

        if (sscanf(path, "class/mdev_bus/%63[^/]/mdev_supported_types/" VF_TYPE "/create", vf) == 1 &&
            g_str_has_suffix(path, "/create")) {
                (void)snprintf(folder, sizeof(folder), "sys/%s", vf_path(vf));
                if (sim_exists(sim, "%s/used", folder))
                        return -EINVAL;
                (void)snprintf(target, sizeof(target), "%s/%s", folder, text);
                g_assert_cmpint(sim_mkdir(sim, "%s", target), ==, 0);
                g_assert_cmpint(sim_write(sim, text, 0400, "%s/used", folder), ==, 0);
                g_assert_cmpint(sim_symlink(sim, target, "sys/bus/mdev/devices/%s", text), ==, 0);
                g_assert_cmpint(
                        sim_symlink(sim, target, "%s/mdev_supported_types/" VF_TYPE "/devices/%s", folder, text), ==,
                        0);
                (void)snprintf(folder, sizeof(folder), "sys/%s/mdev_supported_types/" VF_TYPE, vf_path(vf));
                g_assert_cmpint(sim_symlink(sim, folder, "%s/mdev_type", target), ==, 0);
                g_assert_cmpint(sim_write(sim, "0\n", 0444, "%s/available_instances", folder), ==, 0);
                return 0;
        }

        if (sscanf(path, "bus/mdev/devices/%63[^/]/remove", vf) == 1) {
                sim_remove_tree(sim, "sys/bus/mdev/devices/%s", vf);
                return 0;
        }

        return -EACCES;
}

static void test_virtual_functions(void) {
        Bench b = { .machine = machine_new() };
        Machine *m = b.machine;
        GpuIdentity identity;
        char name[SYSFS_NAME_SIZE];

        job_result_init(&b.result);
        m->host_ops.store = vf_store;
        make_card_with_vfs(&m->sim);
        runner_init(&b.worker, &m->sim.host, PF);

        /* The function is part of the card, and no GPU. */
        g_assert_cmpint(scan_resolve(&m->sim.host, vfs[1], name), ==, 0);
        g_assert_cmpstr(name, ==, PF);
        g_assert_cmpint(scan_identify(&m->sim.host, vfs[1], &identity), ==, 0);
        g_assert_cmpint(scan_identify(&m->sim.host, PF, &identity), ==, 1);
        g_assert_cmpuint(identity.vendor, ==, 0x10de);
        machine_uevent(m, UEVENT_CHANGE, UEVENT_PCI, "/devices/pci0000:40/0000:43:00.5");
        machine_expect_log(m, "+gpu " PF " probing\n");

        g_assert_cmpint(bench_sync(&b, NULL, 0, true), ==, 0);
        g_assert_cmpstr(b.result.report.driver, ==, "nvidia");
        g_assert_cmpuint(b.result.report.n_types, ==, 1);
        g_assert_cmpuint(b.result.report.types[0].available, ==, 2);

        g_assert_cmpint(bench_create(&b, VF_TYPE, UUID_1), ==, 0);
        g_assert_cmpstr(b.result.vgpu.parent, ==, vfs[0]);
        g_assert_cmpuint(bench_find_count(&b, VF_TYPE), ==, 1);
        g_assert_cmpint(bench_create(&b, VF_TYPE, UUID_2), ==, 0);
        g_assert_cmpstr(b.result.vgpu.parent, ==, vfs[1]);
        g_assert_cmpint(bench_create(&b, VF_TYPE, UUID_3), ==, -ERROR_NO_INSTANCES);

        g_assert_cmpint(bench_sync(&b, NULL, 0, true), ==, 0);
        g_assert_cmpuint(b.result.report.n_vgpus, ==, 2);
        g_assert_cmpint(bench_remove(&b, UUID_2), ==, 0);
        g_assert_cmpint(bench_remove(&b, UUID_2), ==, -ERROR_NO_SUCH_VGPU);

        /* The event of a vGPU on a function is the card's. */
        machine_settle(m);
        machine_clear_log(m);
        machine_uevent(m, UEVENT_REMOVE, UEVENT_MDEV, "/devices/pci0000:40/0000:43:00.4/" UUID_1);
        g_assert_nonnull(fake_find_job(&m->fake, JOB_SYNC, PF));

        job_result_done(&b.result);
        runner_done(&b.worker);
        machine_free(m);
}

/* What i915 GVT-g says of a type, in lines of its own form (kernel 6.1). */
static void test_gvt(void) {
        static const Row row = { "mdev", "mtty", "mtty2", SIM_GPU_MTTY, 4, "mtty-1", "mtty-2", 4 };
        static const char *const bad[] = {
                "low_gm_size: \n", "low_gm_size: 1\nhigh_gm_size: 1GB\n", "low_gm_size:128MB\n",
                "resolution: x\n", "low_gm_size: 99999999999MB\n",
        };
        Bench *b = bench_new(&row);
        g_autofree char *path =
                g_strdup_printf("%s/sys/class/mdev_bus/mtty/mdev_supported_types/mtty-1/description", b->machine->root);
        const TypeReport *type;

        g_assert_true(g_file_set_contents(
                path, "low_gm_size: 128MB\nhigh_gm_size: 512MB\nfence: 4\nresolution: 1920x1200\nweight: 4\n", -1,
                NULL));
        g_assert_cmpint(bench_sync(b, NULL, 0, false), ==, 0);
        type = bench_find_type(b, "mtty-1");
        g_assert_cmpuint(type->framebuffer, ==, UINT64_C(640) << 20);
        g_assert_cmpuint(type->max_width, ==, 1920);
        g_assert_cmpuint(type->max_height, ==, 1200);
        g_assert_cmpstr(type->description, ==,
                        "low_gm_size: 128MB,high_gm_size: 512MB,fence: 4,resolution: 1920x1200,weight: 4");

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                g_assert_true(g_file_set_contents(path, bad[i], -1, NULL));
                g_assert_cmpint(bench_sync(b, NULL, 0, false), ==, 0);
                type = bench_find_type(b, "mtty-1");
                g_assert_cmpuint(type->framebuffer, ==, UNKNOWN_U64);
                g_assert_cmpuint(type->max_width, ==, UNKNOWN_U32);
        }
        bench_free(b);
}

/* The kernel's sample driver keeps states; one that names its types as that does is another driver. */
static void test_keeping(void) {
        static const Row row = { "mdev", "mtty", "mtty2", SIM_GPU_MTTY, 4, "mtty-1", "mtty-2", 4 };
        Bench *b = bench_new(&row);
        g_autofree char *link = g_strdup_printf("%s/sys/class/mdev_bus/mtty", b->machine->root);
        g_autofree char *from = g_strdup_printf("%s/sys/devices/virtual/mtty/mtty", b->machine->root);
        g_autofree char *to = g_strdup_printf("%s/sys/devices/virtual/xtty", b->machine->root);

        g_assert_cmpint(bench_find_type(b, "mtty-1")->details.keeps_state, ==, TRISTATE_YES);
        g_assert_cmpint(g_rename(from, to), ==, 0);
        g_assert_cmpint(g_remove(link), ==, 0);
        g_assert_cmpint(symlink("../../devices/virtual/xtty", link), ==, 0);
        g_assert_cmpint(bench_sync(b, NULL, 0, false), ==, 0);
        g_assert_cmpint(bench_find_type(b, "mtty-1")->details.keeps_state, ==, TRISTATE_UNKNOWN);
        bench_free(b);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/backends/mdev/gvt", test_gvt);
        g_test_add_func("/backends/mdev/keeping", test_keeping);

        g_test_add_func("/backends/mdev/own-types", test_own_types);
        g_test_add_func("/backends/mdev/virtual-functions", test_virtual_functions);
        g_test_add_func("/backends/shim/register", test_register);
        g_test_add_func("/backends/shim/refused", test_refused);
        g_test_add_func("/backends/shim/pending", test_pending);
        g_test_add_func("/backends/shim/pending-part", test_pending_part);
        g_test_add_func("/backends/shim/pending-manual", test_pending_manual);
        g_test_add_func("/backends/shim/overcommit", test_overcommit);
        g_test_add_func("/backends/shim/in-place", test_in_place);
        g_test_add_func("/backends/shim/owned", test_owned);

        return g_test_run();
}
