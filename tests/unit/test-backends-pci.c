/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Backends whose vGPUs are PCI devices: whole cards, and virtual functions.
 */

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "backend/backends.h"
#include "bench.h"
#include "core/vfs-change.h"
#include "sim/sim-internal.h"
#include "util/file.h"

#define AUDIO_A "0000:41:00.1"
#define VF_A(n) "0000:41:01." #n

/* Backends whose vGPUs are virtual functions. */
typedef struct VfRow {
        Row row;
        const char *n_vfs; /* that are enabled */
        const char *type;
        uint32_t instances;
        const char *attribute, *good, *bad; /* of a vGPU; NULL: it has none */
        const char *attribute_path; /* below the PCI devices, of the second function */
        const char *free_driver; /* that a function without a vGPU has */
} VfRow;

static const VfRow vf_rows[] = {
        { .row = { .backend = "sriov", .gpu = GPU_A, .kind = SIM_GPU_SRIOV, .capacity = 4 },
          .n_vfs = "3",
          .type = "vfio-pci-vf",
          .instances = 3,
          .free_driver = "" },
        { .row = { .backend = "nvidia-vfio", .gpu = GPU_A, .kind = SIM_GPU_NVIDIA_VFIO, .capacity = 4 },
          .n_vfs = "8",
          .type = "nvidia-1145",
          .instances = 4,
          .attribute = "vgpu_params",
          .good = "frame_rate_limiter=0,enable_uvm=1",
          .attribute_path = VF_A(1) "/nvidia/vgpu_params",
          .free_driver = "nvidia" },
        { .row = { .backend = "xe", .gpu = GPU_A, .kind = SIM_GPU_XE, .capacity = 4 },
          .n_vfs = "4",
          .type = "vfio-pci-vf",
          .instances = 4,
          .attribute = "exec_quantum_ms",
          .good = "20",
          .bad = "soon",
          .attribute_path = GPU_A "/sriov_admin/vf2/profile/exec_quantum_ms",
          .free_driver = "" },
};

static const Row plain = { .backend = "vfio-pci", .gpu = GPU_A, .other = GPU_B, .kind = SIM_GPU_PLAIN };

static char *driver_of(Bench *b, const char *address) {
        g_autofree char *path = g_strdup_printf("bus/pci/devices/%s/driver", address);
        char driver[256];

        return link_read_basename(b->machine->sim.host.sys_fd, path, driver, sizeof(driver)) < 0 ? g_strdup("")
                                                                                                 : g_strdup(driver);
}

#define assert_driver(b, address, driver)                                                                              \
        do {                                                                                                           \
                g_autofree char *driver_ = driver_of(b, address);                                                      \
                g_assert_cmpstr(driver_, ==, driver);                                                                  \
        } while (0)

static int store(Bench *b, const char *path, const char *text) {
        const Host *host = &b->machine->sim.host;

        return host->ops->store(host, host->sys_fd, path, text);
}

static void put(Bench *b, const char *path, const char *text) {
        g_assert_cmpint(sim_write(&b->machine->sim, text, 0644, "sys/bus/pci/devices/%s", path), ==, 0);
}

static int sync_bench(Bench *b) {
        return bench_sync(b, NULL, 0, true);
}

static pid_t hold(Machine *m, const char *node) {
        int ready[2];
        char byte;
        pid_t pid;

        g_assert_cmpint(pipe(ready), ==, 0);
        pid = fork();
        g_assert_cmpint(pid, >=, 0);
        if (pid == 0) {
                if (openat(m->sim.host.dev_fd, node, O_RDWR) < 0 || write(ready[1], "", 1) != 1)
                        _exit(1);
                for (;;)
                        (void)pause();
        }
        g_assert_cmpint(read(ready[0], &byte, 1), ==, 1);
        fd_close(ready[0]);
        fd_close(ready[1]);
        return pid;
}

static void let_go(pid_t pid) {
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
}

static void test_whole_read(void) {
        Bench *b = bench_new(&plain);
        const TypeReport *type;

        g_assert_cmpint(b->result.report.state, ==, GPU_READY);
        g_assert_cmpstr(b->result.report.backend, ==, "vfio-pci");
        g_assert_cmpstr(b->result.report.driver, ==, "simdrm");
        g_assert_cmpuint(b->result.report.n_types, ==, 1);
        type = bench_find_type(b, "vfio-pci");
        g_assert_cmpint(type->kind, ==, VGPU_WHOLE);
        g_assert_cmpuint(type->max_instances, ==, 1);
        g_assert_cmpuint(type->available, ==, 1);
        g_assert_cmpstr(type->description, ==, "IOMMU group 0; reset: flr bus; with " AUDIO_A);
        g_assert_cmpstr(type->reason, ==, "");
        bench_free(b);
}

static void test_whole_life(void) {
        Bench *b = bench_new(&plain);
        const VGpuReport *v;

        g_assert_cmpint(bench_create(b, "vfio-pci", UUID_1), ==, 0);
        v = &b->result.vgpu;
        g_assert_cmpstr(v->uuid, ==, UUID_1);
        g_assert_cmpstr(v->parent, ==, GPU_A);
        g_assert_cmpstr(v->sysfs_path, ==, "/sys/bus/pci/devices/" GPU_A);
        g_assert_cmpint(v->iommu_group, ==, 0);
        g_assert_cmpint(v->kind, ==, VGPU_WHOLE);
        g_assert_cmpuint(bench_find_count(b, "vfio-pci"), ==, 0);
        assert_driver(b, GPU_A, "vfio-pci");
        assert_driver(b, AUDIO_A, "vfio-pci");

        g_assert_cmpint(bench_create(b, "vfio-pci", UUID_1), ==, -ERROR_ALREADY_EXISTS);
        g_assert_cmpint(bench_create(b, "vfio-pci", UUID_2), ==, -ERROR_NO_INSTANCES);
        g_assert_nonnull(strstr(b->result.error.message, UUID_1));
        g_assert_cmpint(bench_remove(b, UUID_2), ==, -ERROR_NO_SUCH_VGPU);

        g_assert_cmpint(sync_bench(b), ==, 0);
        g_assert_cmpint(b->result.report.state, ==, GPU_READY);
        g_assert_cmpuint(b->result.report.n_vgpus, ==, 1);
        g_assert_cmpstr(b->result.report.vgpus[0].uuid, ==, UUID_1);

        g_assert_cmpint(bench_remove(b, UUID_1), ==, 0);
        g_assert_cmpuint(bench_find_count(b, "vfio-pci"), ==, 1);
        assert_driver(b, GPU_A, "simdrm");
        assert_driver(b, AUDIO_A, "simaudio");
        g_assert_false(sim_exists(&b->machine->sim, "run/claims/" GPU_A));
        g_assert_cmpint(bench_create(b, "vfio-pci", UUID_2), ==, 0);
        bench_free(b);
}

/* A card that had no driver gets none. */
static void test_whole_without_driver(void) {
        Bench *b = bench_new(&plain);

        g_assert_cmpint(store(b, "bus/pci/drivers/simdrm/unbind", GPU_A), ==, 0);
        g_assert_cmpint(sync_bench(b), ==, 0);
        g_assert_cmpint(b->result.report.state, ==, GPU_READY);
        g_assert_cmpstr(b->result.report.reason, ==, "no driver is bound to it");
        g_assert_cmpint(bench_create(b, "vfio-pci", UUID_1), ==, 0);
        g_assert_cmpint(bench_remove(b, UUID_1), ==, 0);
        assert_driver(b, GPU_A, "");
        assert_driver(b, AUDIO_A, "simaudio");
        bench_free(b);
}

static void expect_refused(Bench *b, int code, const char *word) {
        g_assert_cmpint(bench_create(b, "vfio-pci", UUID_1), ==, code);
        g_assert_nonnull(strstr(b->result.error.message, word));
        assert_driver(b, GPU_A, "simdrm");
        assert_driver(b, AUDIO_A, "simaudio");
        g_assert_cmpint(sync_bench(b), ==, 0);
        g_assert_cmpuint(b->result.report.n_vgpus, ==, 0);
}

static void test_whole_display(void) {
        Bench *b = bench_new(&plain);
        Job job = { .kind = JOB_CREATE, .type_id = "vfio-pci", .uuid = UUID_1 };

        put(b, GPU_A "/boot_vga", "1\n");
        expect_refused(b, -ERROR_IN_USE, "booted on");
        g_assert_cmpuint(bench_find_type(b, "vfio-pci")->available, ==, 0);
        g_assert_nonnull(strstr(bench_find_type(b, "vfio-pci")->reason, "booted on"));

        put(b, GPU_A "/boot_vga", "0\n");
        g_assert_cmpint(sim_mkdir(&b->machine->sim, "sys/bus/pci/devices/" GPU_A "/drm/card1/card1-DP-1"), ==, 0);
        put(b, GPU_A "/drm/card1/card1-DP-1/enabled", "enabled\n");
        expect_refused(b, -ERROR_IN_USE, "card1-DP-1");

        job.take_display = true;
        g_assert_cmpint(bench_job(b, &job), ==, 0);
        g_assert_cmpint(bench_remove(b, UUID_1), ==, 0);
        bench_free(b);
}

static void test_whole_held_by_host(void) {
        Bench *b = bench_new(&plain);
        Job job = { .kind = JOB_CREATE, .type_id = "vfio-pci", .uuid = UUID_1, .take_display = true };
        pid_t pid;

        g_assert_cmpint(sim_mkdir(&b->machine->sim, "sys/bus/pci/devices/" GPU_A "/drm/renderD128"), ==, 0);
        g_assert_cmpint(sim_mkdir(&b->machine->sim, "dev/dri"), ==, 0);
        g_assert_cmpint(sim_write(&b->machine->sim, "", 0600, "dev/dri/renderD128"), ==, 0);
        pid = hold(b->machine, "dri/renderD128");
        expect_refused(b, -ERROR_IN_USE, "test-backends");
        g_assert_cmpint(bench_job(b, &job), ==, -ERROR_IN_USE);
        let_go(pid);
        g_assert_cmpint(bench_create(b, "vfio-pci", UUID_1), ==, 0);
        bench_free(b);
}

static void test_whole_group(void) {
        Bench *b = bench_new(&plain);
        const SimHost *sim = &b->machine->sim;

        g_assert_cmpint(sim_pci_add_function(sim, "0000:40:00.0", NULL, "0x060400\n", "pcieport", 0), ==, 0);
        g_assert_cmpint(sync_bench(b), ==, 0);
        g_assert_cmpuint(bench_find_type(b, "vfio-pci")->available, ==, 1);

        g_assert_cmpint(sim_pci_add_function(sim, "0000:43:00.0", NULL, "0x020000\n", "simnet", 0), ==, 0);
        expect_refused(b, -ERROR_NOT_SUPPORTED, "0000:43:00.0");
        g_assert_nonnull(strstr(bench_find_type(b, "vfio-pci")->reason, "simnet"));
        g_assert_cmpint(store(b, "bus/pci/drivers/simnet/unbind", "0000:43:00.0"), ==, 0);
        g_assert_cmpint(bench_create(b, "vfio-pci", UUID_1), ==, 0);
        bench_free(b);
}

static void test_whole_in_use(void) {
        Bench *b = bench_new(&plain);
        g_autofree char *number = NULL;
        pid_t pid;

        g_assert_cmpint(bench_create(b, "vfio-pci", UUID_1), ==, 0);
        pid = hold(b->machine, "vfio/0");
        number = g_strdup_printf("%i", (int)pid);
        g_assert_cmpint(bench_remove(b, UUID_1), ==, -ERROR_IN_USE);
        g_assert_nonnull(strstr(b->result.error.message, number));
        g_assert_cmpuint(b->result.n_users, ==, 1);
        g_assert_cmpint(b->result.users[0].pid, ==, pid);
        assert_driver(b, GPU_A, "vfio-pci");
        let_go(pid);
        g_assert_cmpint(bench_remove(b, UUID_1), ==, 0);
        bench_free(b);
}

/* Handed over by somebody else: the same UUID each time it is read, and given to the driver that the kernel chooses. */
static void test_whole_foreign(void) {
        Bench *b = bench_new(&plain);
        char uuid[UUID_STRING_SIZE];

        g_assert_cmpint(store(b, "bus/pci/devices/" GPU_A "/driver_override", "vfio-pci"), ==, 0);
        g_assert_cmpint(store(b, "bus/pci/drivers/simdrm/unbind", GPU_A), ==, 0);
        g_assert_cmpint(store(b, "bus/pci/drivers_probe", GPU_A), ==, 0);
        g_assert_cmpint(sync_bench(b), ==, 0);
        g_assert_cmpuint(b->result.report.n_vgpus, ==, 1);
        memcpy(uuid, b->result.report.vgpus[0].uuid, sizeof(uuid));
        g_assert_cmpint(sync_bench(b), ==, 0);
        g_assert_cmpstr(b->result.report.vgpus[0].uuid, ==, uuid);

        g_assert_cmpint(bench_remove(b, uuid), ==, 0);
        assert_driver(b, GPU_A, "simdrm");
        bench_free(b);
}

/* The address is used again: what is written down of the card before says nothing of this one. */
static void test_whole_reused(void) {
        Bench *b = bench_new(&plain);
        SimHost *sim = &b->machine->sim;

        g_assert_cmpint(bench_create(b, "vfio-pci", UUID_1), ==, 0);
        g_assert_cmpint(sim_host_unplug(sim, GPU_A), ==, 0);
        g_assert_cmpint(bench_remove(b, UUID_1), ==, -ERROR_NO_SUCH_GPU);
        g_assert_cmpint(sim_host_plug(sim, GPU_A, SIM_GPU_PLAIN, 0), ==, 0);
        g_assert_cmpint(sync_bench(b), ==, 0);
        g_assert_cmpuint(b->result.report.n_vgpus, ==, 0);

        g_assert_cmpint(store(b, "bus/pci/devices/" GPU_A "/driver_override", "vfio-pci"), ==, 0);
        g_assert_cmpint(store(b, "bus/pci/drivers/simdrm/unbind", GPU_A), ==, 0);
        g_assert_cmpint(store(b, "bus/pci/drivers_probe", GPU_A), ==, 0);
        g_assert_cmpint(sync_bench(b), ==, 0);
        g_assert_cmpuint(b->result.report.n_vgpus, ==, 1);
        g_assert_cmpstr(b->result.report.vgpus[0].uuid, !=, UUID_1);
        bench_free(b);
}

static const char *refused_for;
static HostOps real_ops;

static int refuse_probe(const Host *host, int dir_fd, const char *path, const char *text) {
        if (g_str_has_suffix(path, "drivers_probe") && streq(text, refused_for))
                return -EINVAL;

        return real_ops.store(host, dir_fd, path, text);
}

/* One function of two cannot be had: none is taken. */
static void test_whole_undone(void) {
        Bench *b = bench_new(&plain);
        HostOps ops = real_ops = b->machine->host_ops;

        ops.store = refuse_probe;
        refused_for = AUDIO_A;
        b->machine->sim.host.ops = &ops;
        expect_refused(b, -ERROR_DRIVER_REJECTED, AUDIO_A);
        b->machine->sim.host.ops = &b->machine->host_ops;
        g_assert_false(sim_exists(&b->machine->sim, "run/claims/" GPU_A));
        bench_free(b);
}

/* Its maker was killed between unbinding and binding: whose the card was is not lost. */
static void test_whole_interrupted(void) {
        Bench *b = bench_new(&plain);
        g_autofree char *claim = NULL, *path = g_strdup_printf("%s/run/claims/" GPU_A, b->machine->root);
        gsize size;

        g_assert_cmpint(bench_create(b, "vfio-pci", UUID_1), ==, 0);
        g_assert_true(g_file_get_contents(path, &claim, &size, NULL));
        g_assert_cmpint(bench_remove(b, UUID_1), ==, 0);
        g_assert_cmpint(store(b, "bus/pci/devices/" GPU_A "/driver_override", "vfio-pci"), ==, 0);
        g_assert_cmpint(store(b, "bus/pci/drivers/simdrm/unbind", GPU_A), ==, 0);
        g_assert_true(g_file_set_contents(path, claim, (gssize)size, NULL));

        g_assert_cmpint(sync_bench(b), ==, 0);
        g_assert_cmpuint(b->result.report.n_vgpus, ==, 0);
        g_assert_cmpint(bench_create(b, "vfio-pci", UUID_2), ==, 0);
        g_assert_cmpint(bench_remove(b, UUID_2), ==, 0);
        assert_driver(b, GPU_A, "simdrm");
        bench_free(b);
}

static void test_whole_hostile_claim(void) {
        static const char *const texts[] = {
                "",
                "uuid=x\n",
                "\xff\xfe",
                "uuid=" UUID_1 "\ntype=../x\nincarnation=1\nfunction=../../x simdrm\n",
                "uuid=" UUID_1 "\ntype=vfio-pci\nincarnation=18446744073709551616\nfunction=" GPU_A " simdrm\n",
        };
        Bench *b = bench_new(&plain);
        g_autofree char *path = g_strdup_printf("%s/run/claims/" GPU_A, b->machine->root);

        g_assert_cmpint(bench_create(b, "vfio-pci", UUID_1), ==, 0);
        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                g_assert_true(g_file_set_contents(path, texts[i], -1, NULL));
                g_assert_cmpint(sync_bench(b), ==, 0);
                g_assert_cmpuint(b->result.report.n_vgpus, ==, 1);
                g_assert_cmpstr(b->result.report.vgpus[0].uuid, !=, UUID_1);
        }
        bench_free(b);
}

static int enable_vfs(Bench *b, uint32_t n) {
        return bench_job(b, &(Job){ .kind = JOB_ENABLE_VFS, .n_vfs = n });
}

/* By somebody else, whatever is on them. */
static int set_vfs(Bench *b, const char *n) {
        const char *const command[] = { "/usr/lib/nvidia/sriov-manage", streq(n, "0") ? "-d" : "-e", GPU_A, NULL };
        int r;

        r = store(b, "bus/pci/devices/" GPU_A "/sriov_numvfs", n);
        return r == -EPERM ? b->machine->sim.host.ops->run(&b->machine->sim.host, command) : r;
}

static Bench *vf_bench(const VfRow *row) {
        Bench *b = bench_new(&row->row);

        g_assert_cmpint(b->result.report.num_vfs, ==, 0);
        g_assert_cmpint(enable_vfs(b, (uint32_t)atoi(row->n_vfs)), ==, 0);
        g_assert_cmpint(sync_bench(b), ==, 0);
        g_assert_cmpint(b->result.report.num_vfs, ==, (uint32_t)atoi(row->n_vfs));
        g_assert_cmpint(b->result.report.state, ==, GPU_READY);
        g_assert_cmpstr(b->result.report.backend, ==, row->row.backend);
        return b;
}

static int create_on(Bench *b, const VfRow *row, const char *parent, const char *uuid) {
        return bench_job(b, &(Job){ .kind = JOB_CREATE, .type_id = row->type, .parent = parent, .uuid = uuid });
}

static void test_vf_read(gconstpointer data) {
        const VfRow *row = data;
        Bench *b = vf_bench(row);
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

        g_assert_cmpint(set_vfs(b, "0"), ==, 0);
        g_assert_cmpint(sync_bench(b), ==, 0);
        g_assert_cmpuint(bench_find_type(b, "vfio-pci")->available, ==, 1);
        bench_free(b);
}

static void test_vf_life(gconstpointer data) {
        const VfRow *row = data;
        Bench *b = vf_bench(row);
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

        g_assert_cmpint(create_on(b, row, VF_A(1), UUID_2), ==, 0);
        g_assert_cmpstr(b->result.vgpu.parent, ==, VF_A(1));
        g_assert_cmpint(create_on(b, row, VF_A(1), UUID_3), ==, -ERROR_NO_INSTANCES);
        g_assert_cmpint(create_on(b, row, "0000:99:00.0", UUID_3), ==, -ERROR_NO_SUCH_GPU);
        g_assert_cmpint(sync_bench(b), ==, 0);
        g_assert_cmpuint(b->result.report.n_vgpus, ==, 2);
        g_assert_cmpstr(b->result.report.vgpus[1].uuid, ==, UUID_2);

        g_assert_cmpint(bench_remove(b, UUID_1), ==, 0);
        assert_driver(b, VF_A(0), row->free_driver);
        g_assert_cmpint(bench_remove(b, UUID_1), ==, -ERROR_NO_SUCH_VGPU);
        g_assert_cmpint(sync_bench(b), ==, 0);
        g_assert_cmpuint(b->result.report.n_vgpus, ==, 1);
        g_assert_cmpint(bench_create(b, row->type, UUID_3), ==, 0);
        g_assert_cmpstr(b->result.vgpu.parent, ==, VF_A(0));
        bench_free(b);
}

static void test_vf_exhausted(gconstpointer data) {
        const VfRow *row = data;
        Bench *b = vf_bench(row);

        for (unsigned i = 0; i < row->instances; i++) {
                g_autofree char *uuid = g_strdup_printf("%08x-2fa1-4d2e-883f-0016d3cca427", i);

                g_assert_cmpint(bench_create(b, row->type, uuid), ==, 0);
        }
        g_assert_cmpuint(bench_find_count(b, row->type), ==, 0);
        g_assert_cmpint(bench_create(b, row->type, UUID_1), ==, -ERROR_NO_INSTANCES);
        g_assert_nonnull(strstr(b->result.error.message, GPU_A));
        /* A type of which nothing is left is still known by its name. */
        g_assert_cmpint(sync_bench(b), ==, 0);
        g_assert_cmpuint(bench_find_type(b, row->type)->available, ==, 0);
        g_assert_cmpstr(bench_find_type(b, row->type)->name, !=, row->type);
        g_assert_cmpint(bench_remove(b, "00000001-2fa1-4d2e-883f-0016d3cca427"), ==, 0);
        g_assert_cmpint(bench_create(b, row->type, UUID_1), ==, 0);
        bench_free(b);
}

static void test_vf_in_use(gconstpointer data) {
        const VfRow *row = data;
        Bench *b = vf_bench(row);
        g_autofree char *node = NULL;
        pid_t pid;

        g_assert_cmpint(bench_create(b, row->type, UUID_1), ==, 0);
        node = g_strdup_printf("vfio/%i", (int)b->result.vgpu.iommu_group);
        g_assert_cmpint(bench_create(b, row->type, UUID_2), ==, 0);
        pid = hold(b->machine, node);
        g_assert_cmpint(bench_remove(b, UUID_1), ==, -ERROR_IN_USE);
        g_assert_cmpuint(b->result.n_users, ==, 1);
        g_assert_cmpint(b->result.users[0].pid, ==, pid);
        g_assert_cmpint(bench_remove(b, UUID_2), ==, 0);
        let_go(pid);
        g_assert_cmpint(bench_remove(b, UUID_1), ==, 0);
        bench_free(b);
}

/* The functions went and came: the addresses are the same, and nobody's. */
static void test_vf_reused(gconstpointer data) {
        const VfRow *row = data;
        Bench *b = vf_bench(row);

        g_assert_cmpint(bench_create(b, row->type, UUID_1), ==, 0);
        g_assert_cmpint(set_vfs(b, "0"), ==, 0);
        g_assert_cmpint(set_vfs(b, row->n_vfs), ==, 0);
        g_assert_cmpint(sync_bench(b), ==, 0);
        g_assert_cmpuint(b->result.report.n_vgpus, ==, 0);
        g_assert_cmpint(bench_remove(b, UUID_1), ==, -ERROR_NO_SUCH_VGPU);
        g_assert_cmpint(bench_create(b, row->type, UUID_2), ==, 0);
        bench_free(b);
}

static void test_vf_configure(gconstpointer data) {
        const VfRow *row = data;
        Bench *b = vf_bench(row);
        Attributes attributes = {};
        Job job = { .kind = JOB_CONFIGURE, .uuid = UUID_1, .attributes = &attributes };
        g_autofree char *text = NULL, *path = NULL;

        g_assert_cmpint(create_on(b, row, VF_A(1), UUID_1), ==, 0);
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
        Bench *b = vf_bench(row);
        HostOps ops = b->machine->host_ops;

        g_assert_cmpint(bench_create(b, row->type, UUID_1), ==, 0);
        ops.store = lie;
        b->machine->sim.host.ops = &ops;
        g_assert_cmpint(bench_create(b, row->type, UUID_2), ==, -ERROR_DRIVER_REJECTED);
        g_assert_cmpint(bench_remove(b, UUID_1), ==, -ERROR_DRIVER_REJECTED);
        b->machine->sim.host.ops = &b->machine->host_ops;
        g_assert_cmpint(sync_bench(b), ==, 0);
        g_assert_cmpuint(b->result.report.n_vgpus, ==, 1);
        bench_free(b);
}

static void test_vf_enable(gconstpointer data) {
        const VfRow *row = data;
        Bench *b = vf_bench(row);
        uint32_t n = b->result.report.num_vfs, max = b->result.report.max_vfs;
        HostOps ops = b->machine->host_ops;

        g_assert_cmpint(bench_create(b, row->type, UUID_1), ==, 0);
        g_assert_cmpint(enable_vfs(b, 0), ==, -ERROR_BUSY);
        g_assert_cmpint(enable_vfs(b, n), ==, -ERROR_BUSY);
        g_assert_cmpint(bench_remove(b, UUID_1), ==, 0);
        g_assert_cmpint(enable_vfs(b, max + 1), ==, -ERROR_INVALID_ARGUMENT);
        g_assert_cmpint(enable_vfs(b, n), ==, 0);
        g_assert_cmpint(enable_vfs(b, 1), ==, streq(row->free_driver, "nvidia") ? -ERROR_INVALID_ARGUMENT : 0);
        g_assert_cmpint(enable_vfs(b, 0), ==, 0);
        g_assert_cmpint(sync_bench(b), ==, 0);
        g_assert_cmpint(b->result.report.num_vfs, ==, 0);
        g_assert_cmpint(b->result.report.max_vfs, ==, max);

        /* What is proved is the outcome, not the answer. */
        ops.store = lie;
        ops.run = run_lie;
        b->machine->sim.host.ops = &ops;
        g_assert_cmpint(enable_vfs(b, max), ==, -ERROR_DRIVER_REJECTED);
        b->machine->sim.host.ops = &b->machine->host_ops;

        g_assert_cmpint(store(b,
                              streq(row->free_driver, "nvidia") ? "bus/pci/drivers/nvidia/unbind"
                              : row->row.kind == SIM_GPU_XE     ? "bus/pci/drivers/xe/unbind"
                                                                : "bus/pci/drivers/simdrm/unbind",
                              GPU_A),
                        ==, 0);
        g_assert_cmpint(enable_vfs(b, max), ==, -ERROR_NOT_SUPPORTED);
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
        g_assert_cmpint(manager_check_vfs(m->manager, GPU_A, 5, &error), ==, -ERROR_INVALID_ARGUMENT);
        g_assert_cmpint(manager_check_vfs(m->manager, GPU_B, 1, NULL), ==, -ERROR_NO_SUCH_GPU);

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
        g_assert_cmpint(manager_check_vfs(m->manager, GPU_A, 0, NULL), ==, -ERROR_BUSY);
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

/* A type is written by somebody else to a function that had one of ours: the claim says nothing of it. */
static void test_nvidia_foreign(void) {
        Bench *b = vf_bench(&vf_rows[1]);

        g_assert_cmpint(bench_create(b, "nvidia-1145", UUID_1), ==, 0);
        g_assert_cmpint(store(b, "bus/pci/devices/" VF_A(0) "/nvidia/current_vgpu_type", "0"), ==, 0);
        g_assert_cmpint(store(b, "bus/pci/devices/" VF_A(0) "/nvidia/current_vgpu_type", "1146"), ==, 0);
        g_assert_cmpint(sync_bench(b), ==, 0);
        g_assert_cmpuint(b->result.report.n_vgpus, ==, 1);
        g_assert_cmpstr(b->result.report.vgpus[0].uuid, !=, UUID_1);
        g_assert_cmpstr(b->result.report.vgpus[0].type_id, ==, "nvidia-1146");
        g_assert_cmpint(bench_remove(b, UUID_1), ==, -ERROR_NO_SUCH_VGPU);
        bench_free(b);
}

/* The list is read before each creation: one that was there at the last reading may be gone. */
static void test_nvidia_shrinks(void) {
        Bench *b = vf_bench(&vf_rows[1]);

        g_assert_cmpuint(bench_find_type(b, "nvidia-1146")->framebuffer, ==, 2 * GIB);
        g_assert_cmpuint(bench_find_type(b, "nvidia-1146")->available, ==, UNKNOWN_U32);
        g_assert_cmpint(store(b, "bus/pci/devices/" VF_A(4) "/nvidia/current_vgpu_type", "1146"), ==, 0);
        g_assert_cmpint(store(b, "bus/pci/devices/" VF_A(5) "/nvidia/current_vgpu_type", "1145"), ==, 0);
        g_assert_cmpint(bench_create(b, "nvidia-1146", UUID_1), ==, -ERROR_NO_INSTANCES);
        g_assert_cmpint(bench_create(b, "nvidia-1145", UUID_1), ==, 0);
        bench_free(b);
}

static void test_nvidia_hostile_lists(void) {
        static const char *const texts[] = {
                "",
                "\n\n\n",
                "ID : vGPU Name\n",
                "x : y\n",
                "99999999999999999999 : big\n",
                "0 : zero\n",
                "7\n",
                "7 :\n",
                "7 : \xff\x1b[2J\n",
                "-1 : minus\n",
                "12:34:56\n",
        };
        Bench *b = vf_bench(&vf_rows[1]);

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                put(b, VF_A(0) "/nvidia/creatable_vgpu_types", texts[i]);
                g_assert_cmpint(sync_bench(b), ==, 0);
                put(b, VF_A(0) "/nvidia/current_vgpu_type", texts[i]);
                g_assert_cmpint(sync_bench(b), ==, 0);
                g_assert_cmpuint(b->result.report.n_vgpus, ==, streq(texts[i], "7\n") ? 1 : 0);
        }
        bench_free(b);
}

static void test_xe_forgets(void) {
        Bench *b = vf_bench(&vf_rows[2]);
        g_autofree char *text = NULL, *path = g_strdup_printf("%s/sys/bus/pci/devices/%s", b->machine->root,
                                                              GPU_A "/sriov_admin/vf1/profile/exec_quantum_ms");

        g_assert_cmpint(bench_create(b, "vfio-pci-vf", UUID_1), ==, 0);
        g_assert_cmpint(store(b, "bus/pci/devices/" GPU_A "/sriov_admin/vf1/profile/exec_quantum_ms", "7"), ==, 0);
        g_assert_cmpint(bench_remove(b, UUID_1), ==, 0);
        g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
        g_assert_cmpstr(text, ==, "0");
        bench_free(b);
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

        for (size_t i = 0; i < ELEMENTSOF(vf_rows); i++)
                for (size_t k = 0; k < ELEMENTSOF(common); k++) {
                        g_autofree char *name =
                                g_strdup_printf("/backends/%s/%s", vf_rows[i].row.backend, common[k].name);

                        g_test_add_data_func(name, &vf_rows[i], common[k].test);
                }
        g_test_add_func("/backends/sriov/model", test_vf_model);
        g_test_add_func("/backends/nvidia-vfio/foreign", test_nvidia_foreign);
        g_test_add_func("/backends/nvidia-vfio/shrinks", test_nvidia_shrinks);
        g_test_add_func("/backends/nvidia-vfio/hostile-lists", test_nvidia_hostile_lists);
        g_test_add_func("/backends/xe/forgets", test_xe_forgets);

        g_test_add_func("/backends/vfio-pci/read", test_whole_read);
        g_test_add_func("/backends/vfio-pci/life", test_whole_life);
        g_test_add_func("/backends/vfio-pci/without-driver", test_whole_without_driver);
        g_test_add_func("/backends/vfio-pci/display", test_whole_display);
        g_test_add_func("/backends/vfio-pci/held-by-host", test_whole_held_by_host);
        g_test_add_func("/backends/vfio-pci/group", test_whole_group);
        g_test_add_func("/backends/vfio-pci/in-use", test_whole_in_use);
        g_test_add_func("/backends/vfio-pci/foreign", test_whole_foreign);
        g_test_add_func("/backends/vfio-pci/reused", test_whole_reused);
        g_test_add_func("/backends/vfio-pci/undone", test_whole_undone);
        g_test_add_func("/backends/vfio-pci/interrupted", test_whole_interrupted);
        g_test_add_func("/backends/vfio-pci/hostile-claim", test_whole_hostile_claim);

        return g_test_run();
}
