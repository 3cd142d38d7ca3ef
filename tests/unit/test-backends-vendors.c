/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Backends whose vGPUs are virtual functions: what only NVIDIA's, Intel's or AMD's drivers have. */

#include "pci-bench.h"

/* A type is written by somebody else to a function that had one of ours: the claim says nothing of it. */
static void test_nvidia_foreign(void) {
        Bench *b = vf_bench_new(NVIDIA_ROW);

        g_assert_cmpint(bench_create(b, "nvidia-1145", UUID_1), ==, 0);
        g_assert_cmpint(pci_bench_store(b, "bus/pci/devices/" VF_A(0) "/nvidia/current_vgpu_type", "0"), ==, 0);
        g_assert_cmpint(pci_bench_store(b, "bus/pci/devices/" VF_A(0) "/nvidia/current_vgpu_type", "1146"), ==, 0);
        g_assert_cmpint(pci_bench_sync(b), ==, 0);
        g_assert_cmpuint(b->result.report.n_vgpus, ==, 1);
        g_assert_cmpstr(b->result.report.vgpus[0].uuid, !=, UUID_1);
        g_assert_cmpstr(b->result.report.vgpus[0].type_id, ==, "nvidia-1146");
        g_assert_cmpint(bench_remove(b, UUID_1), ==, -ERROR_NO_SUCH_VGPU);
        bench_free(b);
}

/* Its remover was killed before the claim had gone: whoever makes the same next has made another one. */
static void test_nvidia_left(void) {
        Bench *b = vf_bench_new(NVIDIA_ROW);

        g_assert_cmpint(bench_create(b, "nvidia-1145", UUID_1), ==, 0);
        g_assert_cmpint(pci_bench_store(b, "bus/pci/devices/" VF_A(0) "/nvidia/current_vgpu_type", "0"), ==, 0);
        g_assert_cmpint(pci_bench_sync(b), ==, 0);
        g_assert_cmpint(pci_bench_store(b, "bus/pci/devices/" VF_A(0) "/nvidia/current_vgpu_type", "1145"), ==, 0);
        g_assert_cmpint(pci_bench_sync(b), ==, 0);
        g_assert_cmpuint(b->result.report.n_vgpus, ==, 1);
        g_assert_cmpstr(b->result.report.vgpus[0].uuid, !=, UUID_1);
        bench_free(b);
}

/* The list is read before each creation: one that was there at the last reading may be gone. */
static void test_nvidia_shrinks(void) {
        Bench *b = vf_bench_new(NVIDIA_ROW);

        g_assert_cmpuint(bench_find_type(b, "nvidia-1146")->framebuffer, ==, 2 * GIB);
        g_assert_cmpuint(bench_find_type(b, "nvidia-1146")->available, ==, UNKNOWN_U32);
        g_assert_cmpint(pci_bench_store(b, "bus/pci/devices/" VF_A(4) "/nvidia/current_vgpu_type", "1146"), ==, 0);
        g_assert_cmpint(pci_bench_store(b, "bus/pci/devices/" VF_A(5) "/nvidia/current_vgpu_type", "1145"), ==, 0);
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
        Bench *b = vf_bench_new(NVIDIA_ROW);

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                pci_bench_put(b, VF_A(0) "/nvidia/creatable_vgpu_types", texts[i]);
                g_assert_cmpint(pci_bench_sync(b), ==, 0);
                pci_bench_put(b, VF_A(0) "/nvidia/current_vgpu_type", texts[i]);
                g_assert_cmpint(pci_bench_sync(b), ==, 0);
                g_assert_cmpuint(b->result.report.n_vgpus, ==, streq(texts[i], "7\n") ? 1 : 0);
        }
        bench_free(b);
}

static void test_xe_forgets(void) {
        Bench *b = vf_bench_new(XE_ROW);
        g_autofree char *text = NULL, *path = g_strdup_printf("%s/sys/bus/pci/devices/%s", b->machine->root,
                                                              GPU_A "/sriov_admin/vf1/profile/exec_quantum_ms");

        g_assert_cmpint(bench_create(b, "vfio-pci-vf", UUID_1), ==, 0);
        g_assert_cmpint(pci_bench_store(b, "bus/pci/devices/" GPU_A "/sriov_admin/vf1/profile/exec_quantum_ms", "7"),
                        ==, 0);
        g_assert_cmpint(bench_remove(b, UUID_1), ==, 0);
        g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
        g_assert_cmpstr(text, ==, "0");
        bench_free(b);
}

static const TypeSpec xe_specs[] = {
        { .id = 7,
          .name = "Quarter",
          .max_instances = 2,
          .framebuffer = 4 * GIB,
          .xe_quantum_ms = 20,
          .xe_timeout_us = 1000,
          .xe_priority = XE_PRIORITY_HIGH },
        { .id = 8,
          .name = "Plain",
          .max_instances = 8,
          .framebuffer = GIB,
          .xe_quantum_ms = XE_UNSTATED,
          .xe_timeout_us = XE_UNSTATED },
};

#define XE_PROFILE(n) GPU_A "/sriov_admin/vf" #n "/profile/"

#define assert_profile(b, n, name, value)                                                                              \
        do {                                                                                                           \
                g_autofree char *text_ = pci_bench_get(b, XE_PROFILE(n) name);                                         \
                g_assert_cmpstr(text_, ==, value);                                                                     \
        } while (0)

static Bench *xe_bench(void) {
        Bench *b = vf_bench_new(XE_ROW);

        g_assert_cmpint(bench_sync(b, xe_specs, G_N_ELEMENTS(xe_specs), true), ==, 0);
        return b;
}

/* A type is how a function is provisioned; and when the vGPU goes it is as it was before. */
static void test_xe_types(void) {
        Bench *b = xe_bench();

        g_assert_cmpstr(bench_find_type(b, "xe-7")->name, ==, "Quarter");
        g_assert_cmpuint(bench_find_type(b, "xe-7")->available, ==, 2);
        g_assert_cmpuint(bench_find_type(b, "xe-7")->framebuffer, ==, 4 * GIB);
        g_assert_cmpint(bench_find_type(b, "xe-7")->registration, ==, REGISTRATION_REGISTERED);
        g_assert_cmpuint(bench_find_type(b, "xe-8")->available, ==, 4);

        pci_bench_put(b, XE_PROFILE(1) "exec_quantum_ms", "5\n");
        g_assert_cmpint(bench_create(b, "xe-7", UUID_1), ==, 0);
        g_assert_cmpstr(b->result.vgpu.type_id, ==, "xe-7");
        assert_profile(b, 1, "vram_quota", "4294967296");
        assert_profile(b, 1, "exec_quantum_ms", "20");
        assert_profile(b, 1, "preempt_timeout_us", "1000");
        assert_profile(b, 1, "sched_priority", "low normal [high]");
        assert_profile(b, 2, "exec_quantum_ms", "0");
        g_assert_cmpuint(bench_find_count(b, "xe-7"), ==, 1);
        g_assert_cmpuint(bench_find_count(b, "xe-8"), ==, 3);

        /* A daemon that comes later finds it as what it is, whatever profiles say by then. */
        runner_done(&b->worker);
        g_assert_cmpint(bench_sync(b, NULL, 0, true), ==, 0);
        g_assert_cmpuint(b->result.report.n_vgpus, ==, 1);
        g_assert_cmpstr(b->result.report.vgpus[0].type_id, ==, "xe-7");
        g_assert_cmpstr(b->result.report.vgpus[0].uuid, ==, UUID_1);
        g_assert_cmpint(bench_create(b, "xe-8", UUID_2), ==, -ERROR_NO_SUCH_TYPE);

        g_assert_cmpint(bench_remove(b, UUID_1), ==, 0);
        assert_profile(b, 1, "vram_quota", "0");
        assert_profile(b, 1, "exec_quantum_ms", "5");
        assert_profile(b, 1, "sched_priority", "[low] normal high");
        bench_free(b);
}

static HostOps real_ops;

static int refuse_timeout(const Host *host, int dir_fd, const char *path, const char *text) {
        return g_str_has_suffix(path, "preempt_timeout_us") && streq(text, "1000")
                       ? -EINVAL
                       : real_ops.store(host, dir_fd, path, text);
}

/* One value of several is refused: the function is nobody's, and as it was. */
static void test_xe_refused(void) {
        Bench *b = xe_bench();
        HostOps ops = real_ops = b->machine->host_ops;

        ops.store = refuse_timeout;
        b->machine->sim.host.ops = &ops;
        g_assert_cmpint(bench_create(b, "xe-7", UUID_1), ==, -ERROR_DRIVER_REJECTED);
        g_assert_nonnull(strstr(b->result.error.message, "preempt_timeout_us"));
        b->machine->sim.host.ops = &b->machine->host_ops;
        assert_profile(b, 1, "vram_quota", "0");
        assert_profile(b, 1, "exec_quantum_ms", "0");
        assert_driver(b, VF_A(0), "");
        g_assert_false(sim_exists(&b->machine->sim, "run/claims/" VF_A(0)));
        g_assert_cmpint(bench_sync(b, xe_specs, G_N_ELEMENTS(xe_specs), true), ==, 0);
        g_assert_cmpuint(b->result.report.n_vgpus, ==, 0);
        bench_free(b);
}

static void test_xe_limits(void) {
        Bench *b = xe_bench();

        g_assert_cmpint(bench_create(b, "xe-7", UUID_1), ==, 0);
        g_assert_cmpint(bench_create(b, "xe-7", UUID_2), ==, 0);
        g_assert_cmpint(bench_create(b, "xe-7", UUID_3), ==, -ERROR_NO_INSTANCES);
        g_assert_nonnull(strstr(b->result.error.message, "profile"));
        g_assert_cmpint(bench_create(b, "xe-8", UUID_3), ==, 0);

        /* Where the memory of a function cannot be set, the type says so. */
        sim_remove_tree(&b->machine->sim, "sys/bus/pci/devices/" XE_PROFILE(1) "vram_quota");
        g_assert_cmpint(bench_sync(b, xe_specs, G_N_ELEMENTS(xe_specs), true), ==, 0);
        g_assert_cmpint(bench_find_type(b, "xe-8")->registration, ==, REGISTRATION_DIFFERS);
        g_assert_cmpuint(bench_find_type(b, "xe-8")->framebuffer, ==, UNKNOWN_U64);
        bench_free(b);
}

/* Attributes of all functions come before the first of them. */
static void test_xe_bulk(void) {
        Bench *b = vf_bench_new(XE_ROW);
        Attributes attributes = {}, bad = {};
        Job job = { .kind = JOB_ENABLE_VFS, .n_vfs = 2, .attributes = &attributes };

        g_assert_cmpint(attributes_add(&attributes, "exec_quantum_ms", "30", NULL), ==, 0);
        g_assert_cmpint(bench_job(b, &job), ==, 0);
        g_assert_cmpint(bench_sync(b, NULL, 0, true), ==, 0);
        g_assert_cmpuint(b->result.report.num_vfs, ==, 2);
        assert_profile(b, 1, "exec_quantum_ms", "30");
        assert_profile(b, 2, "exec_quantum_ms", "30");

        /* Half of it is none of it. */
        job.attributes = &bad;
        job.n_vfs = 3;
        g_assert_cmpint(attributes_add(&bad, "sched_priority", "much", NULL), ==, 0);
        g_assert_cmpint(bench_job(b, &job), ==, -ERROR_DRIVER_REJECTED);
        g_assert_cmpint(bench_sync(b, NULL, 0, true), ==, 0);
        g_assert_cmpuint(b->result.report.num_vfs, ==, 2);
        attributes_done(&bad);
        g_assert_cmpint(attributes_add(&bad, "../power", "x", NULL) < 0 || bench_job(b, &job) == -ERROR_NOT_SUPPORTED,
                        ==, 1);
        attributes_done(&bad);
        attributes_done(&attributes);
        bench_free(b);

        b = vf_bench_new(SRIOV_ROW);
        job.attributes = &attributes;
        g_assert_cmpint(attributes_add(&attributes, "exec_quantum_ms", "30", NULL), ==, 0);
        g_assert_cmpint(bench_job(b, &job), ==, -ERROR_NOT_SUPPORTED);
        attributes_done(&attributes);
        bench_free(b);
}

/* What is seen of AMD's is what there is, and nothing of it can be set. */
static void test_gim_truth(void) {
        Bench *b = vf_bench_new(GIM_ROW);
        const TypeReport *type = bench_find_type(b, "vfio-pci-vf");

        g_assert_cmpuint(type->max_instances, ==, 4);
        g_assert_nonnull(strstr(type->description, "4 virtual functions"));
        g_assert_cmpint(pci_bench_enable_vfs(b, 2), ==, -ERROR_NOT_SUPPORTED);
        g_assert_nonnull(strstr(b->result.error.message, "when it is loaded"));
        bench_free(b);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);

        g_test_add_func("/backends/nvidia-vfio/foreign", test_nvidia_foreign);
        g_test_add_func("/backends/nvidia-vfio/left", test_nvidia_left);
        g_test_add_func("/backends/nvidia-vfio/shrinks", test_nvidia_shrinks);
        g_test_add_func("/backends/nvidia-vfio/hostile-lists", test_nvidia_hostile_lists);
        g_test_add_func("/backends/xe/forgets", test_xe_forgets);

        g_test_add_func("/backends/xe/types", test_xe_types);
        g_test_add_func("/backends/xe/refused", test_xe_refused);
        g_test_add_func("/backends/xe/limits", test_xe_limits);
        g_test_add_func("/backends/xe/bulk", test_xe_bulk);
        g_test_add_func("/backends/gim/truth", test_gim_truth);

        return g_test_run();
}
