/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Backends whose vGPUs are virtual functions: what is the same of all of them. */

#include "core/vfs-change.h"
#include "pci-bench.h"

static void test_vf_read(gconstpointer data) {
        const VfRow *row = data;
        Bench *b = vf_bench_new(row);
        const TypeReport *type = bench_find_type(b, row->type);

        g_assert_cmpint(type->kind, ==, VGPU_VF);
        g_assert_cmpstr(type->device_api, ==, "vfio-pci");
        g_assert_cmpstr(type->reason, ==, "");
        g_assert_cmpuint(type->available, >, 0);
        g_assert_cmpuint(b->result.report.n_vgpus, ==, 0);
        /* The whole card is there as a type, and not to be had. */
        g_assert_cmpuint(bench_find_type(b, "vfio-pci")->available, ==, 0);
        g_assert_nonnull(strstr(bench_find_type(b, "vfio-pci")->reason, "virtual functions"));
        g_assert_cmpint(bench_create(b, "vfio-pci", UUID_1), ==, -ERROR_BUSY);

        g_assert_cmpint(pci_bench_set_vfs(b, "0"), ==, 0);
        g_assert_cmpint(pci_bench_sync(b), ==, 0);
        g_assert_cmpuint(bench_find_type(b, "vfio-pci")->available, ==, 1);
        bench_free(b);
}

static void test_vf_life(gconstpointer data) {
        const VfRow *row = data;
        Bench *b = vf_bench_new(row);
        const VGpuReport *v;

        g_assert_cmpint(bench_create(b, row->type, UUID_1), ==, 0);
        v = &b->result.vgpu;
        g_assert_cmpstr(v->uuid, ==, UUID_1);
        g_assert_cmpstr(v->type_id, ==, row->type);
        g_assert_cmpstr(v->parent, ==, VF_A(0));
        g_assert_cmpstr(v->sysfs_path, ==, "/sys/bus/pci/devices/" VF_A(0));
        g_assert_cmpint(v->kind, ==, VGPU_VF);
        g_assert_cmpint(v->iommu_group, >, 0);
        g_assert_cmpint(bench_create(b, row->type, UUID_1), ==, -ERROR_ALREADY_EXISTS);

        g_assert_cmpint(vf_bench_create_on(b, row, VF_A(1), UUID_2), ==, 0);
        g_assert_cmpstr(b->result.vgpu.parent, ==, VF_A(1));
        g_assert_cmpint(vf_bench_create_on(b, row, VF_A(1), UUID_3), ==, -ERROR_NO_INSTANCES);
        g_assert_cmpint(vf_bench_create_on(b, row, "0000:99:00.0", UUID_3), ==, -ERROR_NO_SUCH_GPU);
        g_assert_cmpint(pci_bench_sync(b), ==, 0);
        g_assert_cmpuint(b->result.report.n_vgpus, ==, 2);
        g_assert_cmpstr(b->result.report.vgpus[1].uuid, ==, UUID_2);

        g_assert_cmpint(bench_remove(b, UUID_1), ==, 0);
        assert_driver(b, VF_A(0), row->free_driver);
        g_assert_cmpint(bench_remove(b, UUID_1), ==, -ERROR_NO_SUCH_VGPU);
        g_assert_cmpint(pci_bench_sync(b), ==, 0);
        g_assert_cmpuint(b->result.report.n_vgpus, ==, 1);
        g_assert_cmpint(bench_create(b, row->type, UUID_3), ==, 0);
        g_assert_cmpstr(b->result.vgpu.parent, ==, VF_A(0));
        bench_free(b);
}

static void test_vf_exhausted(gconstpointer data) {
        const VfRow *row = data;
        Bench *b = vf_bench_new(row);

        for (unsigned i = 0; i < row->instances; i++) {
                g_autofree char *uuid = g_strdup_printf("%08x-2fa1-4d2e-883f-0016d3cca427", i);

                g_assert_cmpint(bench_create(b, row->type, uuid), ==, 0);
        }
        g_assert_cmpuint(bench_find_count(b, row->type), ==, 0);
        g_assert_cmpint(bench_create(b, row->type, UUID_1), ==, -ERROR_NO_INSTANCES);
        g_assert_nonnull(strstr(b->result.error.message, GPU_A));
        /* A type of which nothing is left is still known by its name. */
        g_assert_cmpint(pci_bench_sync(b), ==, 0);
        g_assert_cmpuint(bench_find_type(b, row->type)->available, ==, 0);
        g_assert_cmpstr(bench_find_type(b, row->type)->name, !=, row->type);
        g_assert_cmpint(bench_remove(b, "00000001-2fa1-4d2e-883f-0016d3cca427"), ==, 0);
        g_assert_cmpint(bench_create(b, row->type, UUID_1), ==, 0);
        bench_free(b);
}

static void test_vf_in_use(gconstpointer data) {
        const VfRow *row = data;
        Bench *b = vf_bench_new(row);
        g_autofree char *node = NULL;
        pid_t pid;

        g_assert_cmpint(bench_create(b, row->type, UUID_1), ==, 0);
        node = g_strdup_printf("vfio/%i", (int)b->result.vgpu.iommu_group);
        g_assert_cmpint(bench_create(b, row->type, UUID_2), ==, 0);
        pid = machine_hold(b->machine, node);
        g_assert_cmpint(bench_remove(b, UUID_1), ==, -ERROR_IN_USE);
        g_assert_cmpuint(b->result.n_users, ==, 1);
        g_assert_cmpint(b->result.users[0].pid, ==, pid);
        g_assert_cmpint(bench_remove(b, UUID_2), ==, 0);
        machine_let_go(pid);
        g_assert_cmpint(bench_remove(b, UUID_1), ==, 0);
        bench_free(b);
}

/* The functions went and came: the addresses are the same, and nobody's. */
static void test_vf_reused(gconstpointer data) {
        const VfRow *row = data;
        Bench *b = vf_bench_new(row);

        g_assert_cmpint(bench_create(b, row->type, UUID_1), ==, 0);
        g_assert_cmpint(pci_bench_set_vfs(b, "0"), ==, 0);
        g_assert_cmpint(pci_bench_set_vfs(b, row->n_vfs), ==, 0);
        g_assert_cmpint(pci_bench_sync(b), ==, 0);
        g_assert_cmpuint(b->result.report.n_vgpus, ==, 0);
        g_assert_cmpint(bench_remove(b, UUID_1), ==, -ERROR_NO_SUCH_VGPU);
        g_assert_cmpint(bench_create(b, row->type, UUID_2), ==, 0);
        bench_free(b);
}

static void test_vf_configure(gconstpointer data) {
        const VfRow *row = data;
        Bench *b = vf_bench_new(row);
        Attributes attributes = {};
        Job job = { .kind = JOB_CONFIGURE, .uuid = UUID_1, .attributes = &attributes };
        g_autofree char *text = NULL, *path = NULL;

        g_assert_cmpint(vf_bench_create_on(b, row, VF_A(1), UUID_1), ==, 0);
        g_assert_cmpint(attributes_add(&attributes, "../driver_override", "x", NULL) < 0 ||
                                bench_job(b, &job) == -ERROR_NOT_SUPPORTED,
                        ==, 1);
        attributes_done(&attributes);
        g_assert_cmpint(attributes_add(&attributes, "power", "x", NULL), ==, 0);
        g_assert_cmpint(bench_job(b, &job), ==, -ERROR_NOT_SUPPORTED);
        attributes_done(&attributes);

        if (row->attribute) {
                path = g_strdup_printf("%s/sys/bus/pci/devices/%s", b->machine->root, row->attribute_path);
                g_assert_cmpint(attributes_add(&attributes, row->attribute, row->good, NULL), ==, 0);
                g_assert_cmpint(bench_job(b, &job), ==, 0);
                attributes_done(&attributes);
                g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
                g_assert_cmpstr(text, ==, row->good);
        }
        if (row->bad) {
                g_assert_cmpint(attributes_add(&attributes, row->attribute, row->bad, NULL), ==, 0);
                g_assert_cmpint(bench_job(b, &job), ==, -ERROR_DRIVER_REJECTED);
                attributes_done(&attributes);
        }
        bench_free(b);
}

static int run_lie(const Host *host, const char *const *command) {
        return 0;
}

static int lie(const Host *host, int dir_fd, const char *path, const char *text) {
        return 0;
}

static void test_vf_lies(gconstpointer data) {
        const VfRow *row = data;
        Bench *b = vf_bench_new(row);
        HostOps ops = b->machine->host_ops;

        g_assert_cmpint(bench_create(b, row->type, UUID_1), ==, 0);
        ops.store = lie;
        b->machine->sim.host.ops = &ops;
        g_assert_cmpint(bench_create(b, row->type, UUID_2), ==, -ERROR_DRIVER_REJECTED);
        g_assert_cmpint(bench_remove(b, UUID_1), ==, -ERROR_DRIVER_REJECTED);
        b->machine->sim.host.ops = &b->machine->host_ops;
        g_assert_cmpint(pci_bench_sync(b), ==, 0);
        g_assert_cmpuint(b->result.report.n_vgpus, ==, 1);
        bench_free(b);
}

static void test_vf_enable(gconstpointer data) {
        const VfRow *row = data;
        Bench *b = vf_bench_new(row);
        uint32_t n = b->result.report.num_vfs, max = b->result.report.max_vfs;
        HostOps ops = b->machine->host_ops;

        g_assert_cmpint(bench_create(b, row->type, UUID_1), ==, 0);
        g_assert_cmpint(pci_bench_enable_vfs(b, 0), ==, -ERROR_BUSY);
        g_assert_cmpint(pci_bench_enable_vfs(b, n), ==, -ERROR_BUSY);
        g_assert_cmpint(bench_remove(b, UUID_1), ==, 0);
        g_assert_cmpint(pci_bench_enable_vfs(b, max + 1), ==, -ERROR_INVALID_ARGUMENT);
        g_assert_cmpint(pci_bench_enable_vfs(b, n), ==, 0);
        if (row->fixed) {
                g_assert_cmpint(pci_bench_enable_vfs(b, 0), ==, -ERROR_NOT_SUPPORTED);
                g_assert_cmpint(pci_bench_sync(b), ==, 0);
                g_assert_cmpint(b->result.report.num_vfs, ==, n);
                bench_free(b);
                return;
        }
        g_assert_cmpint(pci_bench_enable_vfs(b, 1), ==,
                        streq(row->free_driver, "nvidia") ? -ERROR_INVALID_ARGUMENT : 0);
        g_assert_cmpint(pci_bench_enable_vfs(b, 0), ==, 0);
        g_assert_cmpint(pci_bench_sync(b), ==, 0);
        g_assert_cmpint(b->result.report.num_vfs, ==, 0);
        g_assert_cmpint(b->result.report.max_vfs, ==, max);

        /* What is proved is the outcome, not the answer. */
        ops.store = lie;
        ops.run = run_lie;
        b->machine->sim.host.ops = &ops;
        g_assert_cmpint(pci_bench_enable_vfs(b, max), ==, -ERROR_DRIVER_REJECTED);
        b->machine->sim.host.ops = &b->machine->host_ops;

        g_assert_cmpint(pci_bench_store(b,
                                        streq(row->free_driver, "nvidia") ? "bus/pci/drivers/nvidia/unbind"
                                        : row->row.kind == SIM_GPU_XE     ? "bus/pci/drivers/xe/unbind"
                                                                          : "bus/pci/drivers/simdrm/unbind",
                                        GPU_A),
                        ==, 0);
        g_assert_cmpint(pci_bench_enable_vfs(b, max), ==, -ERROR_NOT_SUPPORTED);
        bench_free(b);
}

/* One that the host uses does not go under whoever has it open. */
static void test_vf_used_by_host(void) {
        Bench *b = vf_bench_new(SRIOV_ROW);
        pid_t pid;

        g_assert_cmpint(sim_mkdir(&b->machine->sim, "sys/bus/pci/devices/" VF_A(1) "/drm/card7"), ==, 0);
        g_assert_cmpint(sim_mkdir(&b->machine->sim, "dev/dri"), ==, 0);
        g_assert_cmpint(sim_write(&b->machine->sim, "", 0600, "dev/dri/card7"), ==, 0);
        pid = machine_hold(b->machine, "dri/card7");
        g_assert_cmpint(pci_bench_enable_vfs(b, 0), ==, -ERROR_IN_USE);
        g_assert_nonnull(strstr(b->result.error.message, VF_A(1)));
        g_assert_cmpint(pci_bench_sync(b), ==, 0);
        g_assert_cmpuint(b->result.report.num_vfs, ==, 3);
        machine_let_go(pid);
        g_assert_cmpint(pci_bench_enable_vfs(b, 0), ==, 0);
        bench_free(b);
}

/* Who keeps NVIDIA's driver from leaving its card is named. */
static void test_vf_card_held(void) {
        Bench *b = bench_new(&NVIDIA_ROW->row);
        HostOps ops = b->machine->host_ops;
        g_autofree char *number = NULL;
        pid_t pid;

        g_assert_cmpint(sim_mkdir(&b->machine->sim, "sys/bus/pci/devices/" GPU_A "/drm/card7"), ==, 0);
        g_assert_cmpint(sim_mkdir(&b->machine->sim, "dev/dri"), ==, 0);
        g_assert_cmpint(sim_write(&b->machine->sim, "", 0600, "dev/dri/card7"), ==, 0);
        pid = machine_hold(b->machine, "dri/card7");
        number = g_strdup_printf("process %i", (int)pid);
        ops.run = run_lie;
        b->machine->sim.host.ops = &ops;
        g_assert_cmpint(pci_bench_enable_vfs(b, 8), ==, -ERROR_IN_USE);
        g_assert_nonnull(strstr(b->result.error.message, number));
        machine_let_go(pid);
        g_assert_cmpint(pci_bench_enable_vfs(b, 8), ==, -ERROR_DRIVER_REJECTED);
        b->machine->sim.host.ops = &b->machine->host_ops;
        bench_free(b);
}

static void on_vfs(const Error *error, void *userdata) {
        Answer *answer = userdata;

        answer->n++;
        answer->error = error ? *error : ERROR_NULL;
}

/* The model: the functions are seen under their card, and a change that is under way ends with it. */
static void test_vf_model(void) {
        Machine *m = machine_new();
        VfsChange *change;
        Answer answer = {}, made = {};
        Error error = ERROR_NULL;

        g_assert_cmpint(sim_host_plug(&m->sim, GPU_A, SIM_GPU_SRIOV, 4), ==, 0);
        g_assert_cmpint(manager_scan(m->manager), ==, 0);
        machine_settle(m);
        g_assert_cmpuint(machine_gpu(m, GPU_A)->max_vfs, ==, 4);
        g_assert_cmpint(manager_check_vfs(m->manager, GPU_A, 5, false, &error), ==, -ERROR_INVALID_ARGUMENT);
        g_assert_cmpint(manager_check_vfs(m->manager, GPU_B, 1, false, NULL), ==, -ERROR_NO_SUCH_GPU);

        g_assert_cmpint(manager_enable_vfs(m->manager, GPU_A, 2, on_vfs, &answer, &change, NULL), ==, 0);
        g_assert_cmpuint(answer.n, ==, 0);
        machine_settle(m);
        g_assert_cmpuint(answer.n, ==, 1);
        g_assert_cmpint(answer.error.code, ==, 0);
        g_assert_cmpuint(machine_gpu(m, GPU_A)->num_vfs, ==, 2);
        g_assert_cmpuint(machine_available(m, GPU_A, "vfio-pci-vf"), ==, 2);
        g_assert_null(manager_find_gpu(m->manager, VF_A(0)));
        g_assert_nonnull(manager_find_gpu_of(m->manager, VF_A(0)));

        (void)machine_create(m, GPU_A, "vfio-pci-vf", UUID_1, &made);
        machine_settle(m);
        g_assert_nonnull(manager_find_vgpu(m->manager, UUID_1));
        g_assert_cmpint(manager_check_vfs(m->manager, GPU_A, 0, false, NULL), ==, -ERROR_BUSY);
        machine_restart(m);
        g_assert_cmpint(manager_scan(m->manager), ==, 0);
        machine_settle(m);
        g_assert_true(manager_find_vgpu(m->manager, UUID_1)->managed);
        g_assert_cmpint(manager_find_vgpu(m->manager, UUID_1)->kind, ==, VGPU_VF);
        (void)machine_destroy(m, UUID_1, &made);
        machine_settle(m);

        g_assert_cmpint(manager_enable_vfs(m->manager, GPU_A, 0, on_vfs, &answer, &change, NULL), ==, 0);
        g_assert_cmpint(sim_host_unplug(&m->sim, GPU_A), ==, 0);
        g_assert_cmpint(manager_scan(m->manager), ==, 0);
        g_assert_cmpuint(answer.n, ==, 2);
        g_assert_cmpint(answer.error.code, ==, -ERROR_NO_SUCH_GPU);
        machine_settle(m);
        machine_free(m);
}

/* It says whose it is only after it has been announced, and is no GPU in between. */
static void test_vf_announced(void) {
        Machine *m = machine_new();

        g_assert_cmpint(sim_host_plug(&m->sim, GPU_A, SIM_GPU_SRIOV, 4), ==, 0);
        g_assert_cmpint(manager_scan(m->manager), ==, 0);
        machine_settle(m);
        g_assert_cmpint(sim_pci_add_function(&m->sim, VF_A(3), NULL, "0x030000\n", "", 77), ==, 0);
        g_assert_cmpint(sim_pci_add_function(&m->sim, VF_A(4), NULL, "0x030000\n", "", 78), ==, 0);
        machine_uevent(m, UEVENT_ADD, UEVENT_PCI, "/devices/pci0000:00/" VF_A(3));
        machine_uevent(m, UEVENT_ADD, UEVENT_PCI, "/devices/pci0000:00/" VF_A(4));
        machine_settle(m);
        g_assert_null(manager_find_gpu(m->manager, VF_A(3)));
        g_assert_nonnull(manager_find_gpu(m->manager, VF_A(4))); /* the card has four */
        machine_free(m);
}

/* Every backend of the second sort has its tests here, as test-backends has for the first. */
int main(int argc, char **argv) {
        static const struct {
                const char *name;
                GTestDataFunc test;
        } common[] = {
                { "read", test_vf_read },     { "life", test_vf_life },     { "exhausted", test_vf_exhausted },
                { "in-use", test_vf_in_use }, { "reused", test_vf_reused }, { "configure", test_vf_configure },
                { "lies", test_vf_lies },     { "enable", test_vf_enable },
        };

        g_test_init(&argc, &argv, NULL);

        for (size_t i = 0; i < VF_N_ROWS; i++)
                for (size_t k = 0; k < ELEMENTSOF(common); k++) {
                        g_autofree char *name =
                                g_strdup_printf("/backends/%s/%s", vf_rows[i].row.backend, common[k].name);

                        g_test_add_data_func(name, &vf_rows[i], common[k].test);
                }
        g_test_add_func("/backends/sriov/used-by-host", test_vf_used_by_host);
        g_test_add_func("/backends/nvidia-vfio/card-held", test_vf_card_held);
        g_test_add_func("/backends/sriov/model", test_vf_model);
        g_test_add_func("/backends/sriov/announced", test_vf_announced);

        return g_test_run();
}
