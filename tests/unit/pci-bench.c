/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "pci-bench.h"

const VfRow vf_rows[VF_N_ROWS] = {
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
        { .row = { .backend = "gim", .gpu = GPU_A, .kind = SIM_GPU_GIM, .capacity = 4 },
          .n_vfs = "4",
          .type = "vfio-pci-vf",
          .instances = 4,
          .fixed = true,
          .free_driver = "" },
};

char *pci_bench_driver(Bench *b, const char *address) {
        g_autofree char *path = g_strdup_printf("bus/pci/devices/%s/driver", address);
        char driver[256];

        return link_read_basename(b->machine->sim.host.sys_fd, path, driver, sizeof(driver)) < 0 ? g_strdup("")
                                                                                                 : g_strdup(driver);
}

int pci_bench_store(Bench *b, const char *path, const char *text) {
        const Host *host = &b->machine->sim.host;

        return host->ops->store(host, host->sys_fd, path, text);
}

void pci_bench_put(Bench *b, const char *path, const char *text) {
        g_assert_cmpint(sim_write(&b->machine->sim, text, 0644, "sys/bus/pci/devices/%s", path), ==, 0);
}

int pci_bench_sync(Bench *b) {
        return bench_sync(b, NULL, 0, true);
}

int pci_bench_enable_vfs(Bench *b, uint32_t n) {
        return bench_job(b, &(Job){ .kind = JOB_ENABLE_VFS, .n_vfs = n });
}

int pci_bench_set_vfs(Bench *b, const char *n) {
        const char *const command[] = { "/usr/lib/nvidia/sriov-manage", streq(n, "0") ? "-d" : "-e", GPU_A, NULL };
        int r;

        if (b->row->kind == SIM_GPU_GIM) { /* its driver is taken from it, or given back */
                r = pci_bench_store(b, streq(n, "0") ? "bus/pci/drivers/gim/unbind" : "bus/pci/drivers/gim/bind", GPU_A);
                g_assert_cmpint(r, ==, 0);
                return r;
        }
        r = pci_bench_store(b, "bus/pci/devices/" GPU_A "/sriov_numvfs", n);
        return r == -EPERM ? b->machine->sim.host.ops->run(&b->machine->sim.host, command) : r;
}

Bench *vf_bench_new(const VfRow *row) {
        Bench *b = bench_new(&row->row);

        g_assert_cmpint(b->result.report.num_vfs, ==, row->fixed ? (uint32_t)atoi(row->n_vfs) : 0);
        g_assert_cmpint(pci_bench_enable_vfs(b, (uint32_t)atoi(row->n_vfs)), ==, 0);
        g_assert_cmpint(pci_bench_sync(b), ==, 0);
        g_assert_cmpint(b->result.report.num_vfs, ==, (uint32_t)atoi(row->n_vfs));
        g_assert_cmpint(b->result.report.state, ==, GPU_READY);
        g_assert_cmpstr(b->result.report.backend, ==, row->row.backend);
        return b;
}

int vf_bench_create_on(Bench *b, const VfRow *row, const char *parent, const char *uuid) {
        return bench_job(b, &(Job){ .kind = JOB_CREATE, .type_id = row->type, .parent = parent, .uuid = uuid });
}

char *pci_bench_get(Bench *b, const char *path) {
        g_autofree char *full = g_strdup_printf("%s/sys/bus/pci/devices/%s", b->machine->root, path);
        char *text;

        g_assert_true(g_file_get_contents(full, &text, NULL, NULL));
        return g_strchomp(text);
}
