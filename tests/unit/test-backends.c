/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What every backend has in common, held against every backend: one without a row in bench.c is a failure.
 */

#include "backend/backends.h"
#include "bench.h"
#include "sim/sim-internal.h"

static void test_table(void) {
        for (const Backend *const *backend = backends; *backend; backend++) {
                static const char *const elsewhere[] = { "nvidia-vfio", "xe", "gim",
                                                         "sriov" }; /* test-backends-vfs.c */
                bool found = false;

                for (size_t i = 0; i < ELEMENTSOF(elsewhere); i++)
                        found = found || streq(elsewhere[i], (*backend)->name);
                for (size_t i = 0; i < BENCH_N_ROWS; i++)
                        found = found || streq(bench_rows[i].backend, (*backend)->name);
                if (!found)
                        g_error("backend %s is not tested", (*backend)->name);
        }
}

static void test_read(gconstpointer row) {
        Bench *b = bench_new(row);
        const GpuReport *report = &b->result.report;

        g_assert_cmpint(report->state, ==, GPU_READY);
        g_assert_cmpstr(report->backend, ==, b->row->backend);
        g_assert_cmpuint(report->n_types, ==, 2);
        g_assert_cmpuint(report->n_vgpus, ==, 0);
        g_assert_cmpstr(report->types[0].id, ==, b->row->type);
        g_assert_cmpstr(report->types[1].id, ==, b->row->sibling);
        for (size_t i = 0; i < 2; i++) {
                g_assert_cmpstr(report->types[i].name, !=, "");
                g_assert_cmpstr(report->types[i].device_api, ==, "vfio-pci");
                g_assert_cmpint(report->types[i].registration, ==, REGISTRATION_REGISTERED);
        }
        g_assert_cmpuint(report->types[0].available, ==, b->row->instances);
        g_assert_cmpuint(report->types[1].available, ==, b->row->instances / 2);
        g_assert_cmpuint(report->types[0].vendor_id, ==, 1);
        bench_free(b);
}

static void test_create_and_remove(gconstpointer row) {
        Bench *b = bench_new(row);
        const VGpuReport *v;

        g_assert_cmpint(bench_create(b, b->row->type, UUID_1), ==, 0);
        v = &b->result.vgpu;
        g_assert_cmpstr(v->uuid, ==, UUID_1);
        g_assert_cmpstr(v->type_id, ==, b->row->type);
        g_assert_cmpstr(v->parent, ==, b->row->gpu);
        g_assert_cmpstr(v->sysfs_path, ==, "/sys/bus/mdev/devices/" UUID_1);
        g_assert_cmpint(v->iommu_group, ==, 0);
        g_assert_true(machine_has_mdev(b->machine, UUID_1));
        g_assert_cmpuint(bench_find_count(b, b->row->type), ==, b->row->instances - 1);
        g_assert_cmpuint(bench_find_count(b, b->row->sibling), ==, b->row->instances / 2 - 1);

        g_assert_cmpint(bench_create(b, b->row->sibling, UUID_2), ==, 0);
        g_assert_cmpint(b->result.vgpu.iommu_group, ==, 1);
        g_assert_cmpint(bench_sync(b, bench_specs, BENCH_N_SPECS, true), ==, 0);
        g_assert_cmpuint(b->result.report.n_vgpus, ==, 2);
        g_assert_cmpuint(bench_find_type(b, b->row->type)->available, ==, b->row->instances - 3);

        g_assert_cmpint(bench_remove(b, UUID_1), ==, 0);
        g_assert_false(machine_has_mdev(b->machine, UUID_1));
        g_assert_cmpuint(bench_find_count(b, b->row->type), ==, b->row->instances - 2);
        g_assert_cmpint(bench_remove(b, UUID_2), ==, 0);
        g_assert_cmpuint(bench_find_count(b, b->row->type), ==, b->row->instances);
        bench_free(b);
}

static void test_exhausted(gconstpointer row) {
        Bench *b = bench_new(row);

        for (unsigned i = 0; i < b->row->instances; i++) {
                g_autofree char *uuid = g_strdup_printf("%08x-2fa1-4d2e-883f-0016d3cca427", i);

                g_assert_cmpint(bench_create(b, b->row->type, uuid), ==, 0);
        }
        g_assert_cmpint(bench_create(b, b->row->type, UUID_1), ==, -ERROR_NO_INSTANCES);
        g_assert_nonnull(strstr(b->result.error.message, b->row->gpu));
        g_assert_cmpint(bench_create(b, b->row->sibling, UUID_1), ==, -ERROR_NO_INSTANCES);
        g_assert_cmpint(bench_remove(b, "00000000-2fa1-4d2e-883f-0016d3cca427"), ==, 0);
        g_assert_cmpint(bench_create(b, b->row->sibling, UUID_1), ==, -ERROR_NO_INSTANCES);
        g_assert_cmpint(bench_create(b, b->row->type, UUID_1), ==, 0);
        bench_free(b);
}

static void test_not_there(gconstpointer row) {
        Bench *b = bench_new(row);

        g_assert_cmpint(bench_create(b, "none-1", UUID_1), ==, -ERROR_NO_SUCH_TYPE);
        g_assert_cmpint(bench_remove(b, UUID_1), ==, -ERROR_NO_SUCH_VGPU);
        g_assert_cmpint(bench_create(b, b->row->type, UUID_1), ==, 0);
        g_assert_cmpint(bench_create(b, b->row->type, UUID_1), ==, -ERROR_ALREADY_EXISTS);
        g_assert_cmpint(bench_remove(b, UUID_1), ==, 0);
        g_assert_cmpint(bench_remove(b, UUID_1), ==, -ERROR_NO_SUCH_VGPU);
        bench_free(b);
}

/* What is another card's is left alone. */
static void test_of_another(gconstpointer row) {
        Bench *b = bench_new(row), other = { .machine = b->machine, .row = row };

        job_result_init(&other.result);
        g_assert_cmpint(sim_host_plug(&b->machine->sim, b->row->other, b->row->kind, b->row->capacity), ==, 0);
        runner_init(&other.worker, &b->machine->sim.host, b->row->other);
        g_assert_cmpint(bench_sync(&other, bench_specs, BENCH_N_SPECS, true), ==, 0);
        g_assert_cmpint(bench_create(&other, b->row->type, UUID_1), ==, 0);

        g_assert_cmpint(bench_create(b, b->row->type, UUID_1), ==, -ERROR_ALREADY_EXISTS);
        g_assert_cmpint(bench_remove(b, UUID_1), ==, -ERROR_NO_SUCH_VGPU);
        g_assert_true(machine_has_mdev(b->machine, UUID_1));
        g_assert_cmpint(bench_sync(b, bench_specs, BENCH_N_SPECS, true), ==, 0);
        g_assert_cmpuint(b->result.report.n_vgpus, ==, 0);

        job_result_done(&other.result);
        runner_done(&other.worker);
        bench_free(b);
}

static void test_in_use(gconstpointer row) {
        Bench *b = bench_new(row);
        Attributes attributes = {};
        const Job configure = {
                .kind = JOB_CONFIGURE,
                .uuid = UUID_1,
                .attributes = &attributes,
                .unless_used = true,
                .iommu_group = -1,
        };
        g_autofree char *number = NULL;
        pid_t pid;

        g_assert_cmpint(bench_create(b, b->row->type, UUID_1), ==, 0);
        g_assert_cmpint(bench_create(b, b->row->type, UUID_2), ==, 0);
        pid = machine_hold(b->machine, "vfio/0");
        number = g_strdup_printf("%i", (int)pid);

        /* What a start that was cut off has left to write is not written to it. */
        g_assert_cmpint(attributes_add(&attributes, "no_such", "7", NULL), ==, 0);
        g_assert_cmpint(bench_job(b, &configure), ==, -ERROR_IN_USE);
        g_assert_nonnull(strstr(b->result.error.message, number));

        g_assert_cmpint(bench_remove(b, UUID_1), ==, -ERROR_IN_USE);
        g_assert_nonnull(strstr(b->result.error.message, number));
        g_assert_cmpuint(b->result.n_users, ==, 1);
        g_assert_cmpint(b->result.users[0].pid, ==, pid);
        g_assert_cmpuint(b->result.users[0].uid, ==, getuid());
        g_assert_cmpstr(b->result.users[0].comm, ==, "test-backends");
        g_assert_true(machine_has_mdev(b->machine, UUID_1));
        g_assert_cmpint(bench_remove(b, UUID_2), ==, 0);

        machine_let_go(pid);
        g_assert_cmpint(bench_job(b, &configure), !=, -ERROR_IN_USE);
        g_assert_cmpint(b->result.error.code, <, 0); /* it was tried */
        attributes_done(&attributes);
        g_assert_cmpint(bench_remove(b, UUID_1), ==, 0);
        bench_free(b);
}

static const HostOps *seen_ops;

/* Somebody has every vGPU open whom /proc does not show. */
static int ioctl_hidden(const Host *host, int fd, unsigned long request, void *argument) {
        struct mdevgpu_get_usage *args = argument;
        int r = seen_ops->ioctl(host, fd, request, argument);

        for (uint32_t i = 0; r >= 0 && request == MDEVGPU_GET_USAGE && i < args->n_vgpus; i++)
                ((struct mdevgpu_vgpu *)(uintptr_t)args->vgpus)[i].flags |= MDEVGPU_VGPU_OPEN;
        return r;
}

static void test_hidden(gconstpointer row) {
        static const uint8_t uuid[] = { 0x11, 0x11, 0x11, 0x11, 0x2f, 0xa1, 0x4d, 0x2e,
                                        0x88, 0x3f, 0x00, 0x16, 0xd3, 0xcc, 0xa4, 0x27 };
        Bench *b = bench_new(row);
        HostOps ops = b->machine->host_ops;

        if (b->row->kind == SIM_GPU_MTTY) { /* its driver tells nothing */
                bench_free(b);
                return;
        }

        g_assert_cmpint(bench_create(b, b->row->type, UUID_1), ==, 0);
        seen_ops = &b->machine->host_ops;
        if (b->nvidia) {
                b->nvidia->gpus[0].guests[0] = (ModelGuest){ .type = 1 };
                memcpy(b->nvidia->gpus[0].guests[0].mdev, uuid, sizeof(uuid));
                b->nvidia->gpus[0].n_guests = 1;
        } else {
                ops.ioctl = ioctl_hidden;
                b->machine->sim.host.ops = &ops;
        }
        g_assert_cmpint(bench_remove(b, UUID_1), ==, -ERROR_IN_USE);
        g_assert_nonnull(strstr(b->result.error.message, "its driver says"));
        g_assert_true(machine_has_mdev(b->machine, UUID_1));

        b->machine->sim.host.ops = seen_ops;
        if (b->nvidia)
                b->nvidia->gpus[0].n_guests = 0;
        g_assert_cmpint(bench_remove(b, UUID_1), ==, 0);
        bench_free(b);
}

static void test_leaves(gconstpointer row) {
        Bench *b = bench_new(row);

        g_assert_cmpint(bench_create(b, b->row->type, UUID_1), ==, 0);
        g_assert_cmpint(sim_host_unplug(&b->machine->sim, b->row->gpu), ==, 0);
        g_assert_cmpint(bench_create(b, b->row->type, UUID_2), ==, -ERROR_NO_SUCH_GPU);
        g_assert_cmpint(bench_remove(b, UUID_1), ==, -ERROR_NO_SUCH_GPU);
        g_assert_cmpint(bench_sync(b, bench_specs, BENCH_N_SPECS, true), ==, 0);
        g_assert_cmpint(b->result.report.state, ==, GPU_NO_DRIVER);
        g_assert_cmpuint(b->result.report.n_types, ==, 0);

        /* It comes again, as another incarnation: the same worker serves it. */
        g_assert_cmpint(sim_host_plug(&b->machine->sim, b->row->gpu, b->row->kind, b->row->capacity), ==, 0);
        g_assert_cmpint(bench_sync(b, bench_specs, BENCH_N_SPECS, true), ==, 0);
        g_assert_cmpuint(b->result.report.n_types, ==, 2);
        g_assert_cmpint(bench_create(b, b->row->type, UUID_1), ==, 0);
        bench_free(b);
}

static void put_attribute(Bench *b, const char *name, const char *text, gssize size) {
        g_autofree char *path = g_strdup_printf("%s/sys/class/mdev_bus/%s/mdev_supported_types/%s/%s", b->machine->root,
                                                b->row->gpu, b->row->type, name);

        g_assert_true(g_file_set_contents(path, text, size, NULL));
}

static void test_hostile_text(gconstpointer row) {
        static const struct {
                const char *text;
                gssize size;
        } texts[] = {
                { "\xff\xfe\xfd\n", -1 }, { "\x1b[2J\x07\n", -1 }, { "a\0b\n", 4 },  { "", 0 },
                { "\xef\xbf\xbf", -1 },   { "\n\n\n", -1 },        { "%s%n%s", -1 },
        };
        Bench *b = bench_new(row);
        g_autofree char *large = g_strnfill(65536, 'x');
        static const char *const attributes[] = { "name", "description", "device_api", "available_instances" };

        for (size_t i = 0; i < ELEMENTSOF(attributes); i++) {
                for (size_t k = 0; k < ELEMENTSOF(texts); k++) {
                        put_attribute(b, attributes[i], texts[k].text, texts[k].size);
                        g_assert_cmpint(bench_sync(b, bench_specs, BENCH_N_SPECS, false), ==, 0);
                        g_assert_cmpuint(b->result.report.n_types, ==, 2);
                }
                put_attribute(b, attributes[i], large, -1);
                g_assert_cmpint(bench_sync(b, bench_specs, BENCH_N_SPECS, false), ==, 0);
        }
        g_assert_cmpstr(bench_find_type(b, b->row->type)->device_api, ==, "");

        put_attribute(b, "device_api", "vfio-\x01pci\n", -1);
        g_assert_cmpint(bench_sync(b, bench_specs, BENCH_N_SPECS, false), ==, 0);
        g_assert_cmpstr(bench_find_type(b, b->row->type)->device_api, ==, "vfio-?pci");
        bench_free(b);
}

static void test_hostile_numbers(gconstpointer row) {
        static const struct {
                const char *text;
                uint32_t value;
        } numbers[] = {
                { "0\n", 0 },
                { "4294967294\n", UNKNOWN_U32 - 1 },
                { "4294967295\n", UNKNOWN_U32 },
                { "-1\n", UNKNOWN_U32 },
                { "99999999999999999999999\n", UNKNOWN_U32 },
                { "many\n", UNKNOWN_U32 },
                { "3 \n", UNKNOWN_U32 },
        };
        Bench *b = bench_new(row);

        for (size_t i = 0; i < ELEMENTSOF(numbers); i++) {
                put_attribute(b, "available_instances", numbers[i].text, -1);
                g_assert_cmpint(bench_sync(b, bench_specs, BENCH_N_SPECS, false), ==, 0);
                g_assert_cmpuint(bench_find_type(b, b->row->type)->available, ==, numbers[i].value);
        }

        put_attribute(b, "description",
                      "num_heads=99999999999, frl_config=-1, framebuffer=4294967294M, max_resolution=1x, "
                      ",=,max_instance=4294967295,max_instance",
                      -1);
        g_assert_cmpint(bench_sync(b, bench_specs, BENCH_N_SPECS, false), ==, 0);
        bench_free(b);
}

/* Names that a driver, or a broken tree, gives to types and devices. */
static void test_hostile_names(gconstpointer row) {
        Bench *b = bench_new(row);
        g_autofree char *long_name = g_strnfill(200, 'x'), *types = NULL, *path = NULL;
        const char *const bad[] = { "a\nb-1", "\xff-1", "\x1b[2J", long_name, "..." };
        const SimHost *sim = &b->machine->sim;

        types = g_strdup_printf("%s/sys/class/mdev_bus/%s/mdev_supported_types", b->machine->root, b->row->gpu);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                g_autofree char *folder = g_build_filename(types, bad[i], "devices", NULL);

                g_assert_cmpint(g_mkdir_with_parents(folder, 0700), ==, 0);
        }
        path = g_build_filename(types, b->row->type, "devices", "no-uuid", NULL);
        g_assert_cmpint(symlink("../../../x", path), ==, 0);

        g_assert_cmpint(bench_create(b, b->row->type, UUID_1), ==, 0);
        sim_remove_tree(sim, "sys/bus/mdev/devices/%s/iommu_group", UUID_1);
        g_assert_cmpint(sim_symlink(sim, "x/-7", "sys/bus/mdev/devices/%s/iommu_group", UUID_1), ==, 0);

        g_assert_cmpint(bench_sync(b, bench_specs, BENCH_N_SPECS, false), ==, 0);
        g_assert_cmpuint(b->result.report.n_types, ==, 3); /* "..." is a name */
        g_assert_cmpuint(b->result.report.n_vgpus, ==, 1);
        g_assert_cmpint(b->result.report.vgpus[0].iommu_group, ==, -1);
        bench_free(b);
}

/* A driver that says yes and does nothing, or does it when it has said no. */
static int lie(const Host *host, int dir_fd, const char *path, const char *text) {
        return 0;
}

static void test_lies(gconstpointer row) {
        Bench *b = bench_new(row);
        HostOps ops = b->machine->host_ops;

        g_assert_cmpint(bench_create(b, b->row->type, UUID_1), ==, 0);
        ops.store = lie;
        b->machine->sim.host.ops = &ops;
        g_assert_cmpint(bench_create(b, b->row->type, UUID_2), ==, -ERROR_DRIVER_REJECTED);
        g_assert_nonnull(strstr(b->result.error.message, "not there"));
        g_assert_cmpint(bench_remove(b, UUID_1), ==, -ERROR_DRIVER_REJECTED);
        g_assert_nonnull(strstr(b->result.error.message, "still there"));
        b->machine->sim.host.ops = &b->machine->host_ops;
        bench_free(b);
}

int main(int argc, char **argv) {
        static const struct {
                const char *name;
                GTestDataFunc test;
        } common[] = {
                { "read", test_read },
                { "create-and-remove", test_create_and_remove },
                { "exhausted", test_exhausted },
                { "not-there", test_not_there },
                { "of-another", test_of_another },
                { "in-use", test_in_use },
                { "hidden", test_hidden },
                { "leaves", test_leaves },
                { "lies", test_lies },
                { "hostile-text", test_hostile_text },
                { "hostile-numbers", test_hostile_numbers },
                { "hostile-names", test_hostile_names },
        };

        g_test_init(&argc, &argv, NULL);

        g_test_add_func("/backends/table", test_table);
        for (size_t i = 0; i < BENCH_N_ROWS; i++)
                for (size_t k = 0; k < ELEMENTSOF(common); k++) {
                        g_autofree char *name =
                                g_strdup_printf("/backends/%s/%s", bench_rows[i].backend, common[k].name);

                        g_test_add_data_func(name, &bench_rows[i], common[k].test);
                }

        return g_test_run();
}
