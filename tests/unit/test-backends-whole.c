/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Backend vfio-pci: whole cards, handed over and given back. */

#include "backend/device-lock.h"
#include "pci-bench.h"

static const Row plain = { .backend = "vfio-pci", .gpu = GPU_A, .other = GPU_B, .kind = SIM_GPU_PLAIN };

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

        g_assert_cmpint(pci_bench_sync(b), ==, 0);
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

        g_assert_cmpint(pci_bench_store(b, "bus/pci/drivers/simdrm/unbind", GPU_A), ==, 0);
        g_assert_cmpint(pci_bench_sync(b), ==, 0);
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
        g_assert_cmpint(pci_bench_sync(b), ==, 0);
        g_assert_cmpuint(b->result.report.n_vgpus, ==, 0);
}

static void test_whole_display(void) {
        Bench *b = bench_new(&plain);
        Job job = { .kind = JOB_CREATE, .type_id = "vfio-pci", .uuid = UUID_1 };

        pci_bench_put(b, GPU_A "/boot_vga", "1\n");
        expect_refused(b, -ERROR_IN_USE, "booted on");
        g_assert_cmpuint(bench_find_type(b, "vfio-pci")->available, ==, 0);
        g_assert_nonnull(strstr(bench_find_type(b, "vfio-pci")->reason, "booted on"));

        pci_bench_put(b, GPU_A "/boot_vga", "0\n");
        g_assert_cmpint(sim_mkdir(&b->machine->sim, "sys/bus/pci/devices/" GPU_A "/drm/card1/card1-DP-1"), ==, 0);
        pci_bench_put(b, GPU_A "/drm/card1/card1-DP-1/enabled", "enabled\n");
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
        pid = machine_hold(b->machine, "dri/renderD128");
        expect_refused(b, -ERROR_IN_USE, "test-backends");
        g_assert_cmpint(bench_job(b, &job), ==, -ERROR_IN_USE);
        machine_let_go(pid);
        g_assert_cmpint(bench_create(b, "vfio-pci", UUID_1), ==, 0);
        bench_free(b);
}

static void test_whole_group(void) {
        Bench *b = bench_new(&plain);
        const SimHost *sim = &b->machine->sim;

        g_assert_cmpint(sim_pci_add_function(sim, "0000:40:00.0", NULL, "0x060400\n", "pcieport", 0), ==, 0);
        g_assert_cmpint(pci_bench_sync(b), ==, 0);
        g_assert_cmpuint(bench_find_type(b, "vfio-pci")->available, ==, 1);

        g_assert_cmpint(sim_pci_add_function(sim, "0000:43:00.0", NULL, "0x020000\n", "simnet", 0), ==, 0);
        expect_refused(b, -ERROR_NOT_SUPPORTED, "0000:43:00.0");
        g_assert_nonnull(strstr(bench_find_type(b, "vfio-pci")->reason, "simnet"));
        g_assert_cmpint(pci_bench_store(b, "bus/pci/drivers/simnet/unbind", "0000:43:00.0"), ==, 0);
        g_assert_cmpint(bench_create(b, "vfio-pci", UUID_1), ==, 0);
        bench_free(b);
}

static void test_whole_in_use(void) {
        Bench *b = bench_new(&plain);
        g_autofree char *number = NULL;
        pid_t pid;

        g_assert_cmpint(bench_create(b, "vfio-pci", UUID_1), ==, 0);
        pid = machine_hold(b->machine, "vfio/0");
        number = g_strdup_printf("%i", (int)pid);
        g_assert_cmpint(bench_remove(b, UUID_1), ==, -ERROR_IN_USE);
        g_assert_nonnull(strstr(b->result.error.message, number));
        g_assert_cmpuint(b->result.n_users, ==, 1);
        g_assert_cmpint(b->result.users[0].pid, ==, pid);
        assert_driver(b, GPU_A, "vfio-pci");
        machine_let_go(pid);
        g_assert_cmpint(bench_remove(b, UUID_1), ==, 0);
        bench_free(b);
}

/* Handed over by somebody else: the same UUID each time it is read, and given to the driver that the kernel chooses. */
static void test_whole_foreign(void) {
        Bench *b = bench_new(&plain);
        char uuid[UUID_STRING_SIZE];

        g_assert_cmpint(pci_bench_store(b, "bus/pci/devices/" GPU_A "/driver_override", "vfio-pci"), ==, 0);
        g_assert_cmpint(pci_bench_store(b, "bus/pci/drivers/simdrm/unbind", GPU_A), ==, 0);
        g_assert_cmpint(pci_bench_store(b, "bus/pci/drivers_probe", GPU_A), ==, 0);
        g_assert_cmpint(pci_bench_sync(b), ==, 0);
        g_assert_cmpuint(b->result.report.n_vgpus, ==, 1);
        memcpy(uuid, b->result.report.vgpus[0].uuid, sizeof(uuid));
        g_assert_cmpint(pci_bench_sync(b), ==, 0);
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
        g_assert_cmpint(pci_bench_sync(b), ==, 0);
        g_assert_cmpuint(b->result.report.n_vgpus, ==, 0);

        g_assert_cmpint(pci_bench_store(b, "bus/pci/devices/" GPU_A "/driver_override", "vfio-pci"), ==, 0);
        g_assert_cmpint(pci_bench_store(b, "bus/pci/drivers/simdrm/unbind", GPU_A), ==, 0);
        g_assert_cmpint(pci_bench_store(b, "bus/pci/drivers_probe", GPU_A), ==, 0);
        g_assert_cmpint(pci_bench_sync(b), ==, 0);
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

/* In this order the functions came to vfio-pci, and to their own drivers again. */
static GString *handed;

static int note_vfio(const Host *host, int dir_fd, const char *path, const char *text) {
        int r = real_ops.store(host, dir_fd, path, text);

        if (g_str_has_suffix(path, "drivers_probe"))
                g_string_append_printf(handed, "+%s ", text);
        else if (g_str_has_suffix(path, "bind") && !g_str_has_suffix(path, "unbind"))
                g_string_append_printf(handed, "-%s ", text);
        return r;
}

/* With a vfio driver the function that a vGPU is named after says that all of the card is there. */
static void test_whole_order(void) {
        Bench *b = bench_new(&plain);
        HostOps ops = real_ops = b->machine->host_ops;

        handed = g_string_new(NULL);
        ops.store = note_vfio;
        b->machine->sim.host.ops = &ops;
        g_assert_cmpint(bench_create(b, "vfio-pci", UUID_1), ==, 0);
        g_assert_cmpint(bench_remove(b, UUID_1), ==, 0);
        b->machine->sim.host.ops = &b->machine->host_ops;
        g_assert_cmpstr(handed->str, ==, "+" AUDIO_A " +" GPU_A " -" GPU_A " -" AUDIO_A " ");
        g_string_free(handed, TRUE);
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
        g_assert_cmpint(pci_bench_store(b, "bus/pci/devices/" GPU_A "/driver_override", "vfio-pci"), ==, 0);
        g_assert_cmpint(pci_bench_store(b, "bus/pci/drivers/simdrm/unbind", GPU_A), ==, 0);
        g_assert_true(g_file_set_contents(path, claim, (gssize)size, NULL));

        g_assert_cmpint(pci_bench_sync(b), ==, 0);
        g_assert_cmpuint(b->result.report.n_vgpus, ==, 0);
        g_assert_cmpint(bench_create(b, "vfio-pci", UUID_2), ==, 0);
        g_assert_cmpint(bench_remove(b, UUID_2), ==, 0);
        assert_driver(b, GPU_A, "simdrm");
        bench_free(b);
}

/* He was killed, and says so: the card is given back when it is read; not while he is at it still. */
static void test_whole_left(void) {
        Bench *b = bench_new(&plain);
        g_autofree char *claim = NULL, *path = g_strdup_printf("%s/run/claims/" GPU_A, b->machine->root);
        g_autofree char *left = NULL, *override = NULL;
        DeviceLock lock = DEVICE_LOCK_NULL;

        g_assert_cmpint(bench_create(b, "vfio-pci", UUID_1), ==, 0);
        g_assert_true(g_file_get_contents(path, &claim, NULL, NULL));
        g_assert_null(strstr(claim, "busy"));
        left = g_strdup_printf("%sbusy=yes\n", claim);
        g_assert_true(g_file_set_contents(path, left, -1, NULL));
        /* As long as a vfio driver has it, it is a vGPU. */
        g_assert_cmpint(pci_bench_sync(b), ==, 0);
        g_assert_cmpuint(b->result.report.n_vgpus, ==, 1);

        g_assert_cmpint(pci_bench_store(b, "bus/pci/drivers/vfio-pci/unbind", GPU_A), ==, 0);
        g_assert_cmpint(device_lock(&b->machine->sim.host, GPU_A, &lock), ==, 0);
        g_assert_cmpint(pci_bench_sync(b), ==, 0);
        assert_driver(b, GPU_A, "");
        g_assert_cmpint(bench_create(b, "vfio-pci", UUID_2), ==, -ERROR_BUSY);

        device_unlock(&lock);
        g_assert_cmpint(pci_bench_sync(b), ==, 0);
        assert_driver(b, GPU_A, "simdrm");
        assert_driver(b, AUDIO_A, "simaudio");
        override = pci_bench_get(b, GPU_A "/driver_override");
        g_assert_cmpstr(override, ==, "(null)");
        g_assert_false(sim_exists(&b->machine->sim, "run/claims/" GPU_A));
        g_assert_cmpint(bench_create(b, "vfio-pci", UUID_2), ==, 0);
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
                g_assert_cmpint(pci_bench_sync(b), ==, 0);
                g_assert_cmpuint(b->result.report.n_vgpus, ==, 1);
                g_assert_cmpstr(b->result.report.vgpus[0].uuid, !=, UUID_1);
        }
        bench_free(b);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);

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
        g_test_add_func("/backends/vfio-pci/order", test_whole_order);
        g_test_add_func("/backends/vfio-pci/interrupted", test_whole_interrupted);
        g_test_add_func("/backends/vfio-pci/left", test_whole_left);
        g_test_add_func("/backends/vfio-pci/hostile-claim", test_whole_hostile_claim);

        return g_test_run();
}
