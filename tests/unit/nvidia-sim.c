/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <sys/socket.h>

#include "nvidia-sim.h"
#include "sim/sim-internal.h"
#include "util/file.h"
#include "util/text.h"

static NvidiaModel model;
static const HostOps *lower; /* the machine's ops for everything else */
static HostOps lower_ops;

static int open_node(const Host *host, const char *path, int flags) {
        return g_str_has_prefix(path, "nvidia") ? nvidia_stand_open_node(host, path, flags)
                                                : lower->open_node(host, path, flags);
}

static int call(const Host *host, int fd, unsigned long request, void *argument) {
        int r = nvidia_stand_ioctl(host, fd, request, argument);

        return r == -ENOTTY ? lower->ioctl(host, fd, request, argument) : r;
}

static int program_fd = -EBADF; /* the other end of what a worker watches */

/* nvidia-vgpud is installed; nvidia_sim_end_vgpud() is heard. */
static int watch_program(const Host *host, const char *name) {
        int fds[2];

        g_assert_cmpstr(name, ==, "nvidia-vgpud");
        fd_close(program_fd);
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), ==, 0);
        program_fd = fds[0];
        return fds[1];
}

void nvidia_sim_end_vgpud(void) {
        g_assert_cmpint(write(program_fd, "", 1), ==, 1);
}

static ssize_t read_node(const Host *host, int watch_fd, void *buffer, size_t size) {
        ssize_t n = recv(watch_fd, buffer, size, MSG_DONTWAIT);

        return n < 0 && errno == ENOTSOCK ? lower->read_node(host, watch_fd, buffer, size) : n;
}

/* The kernel's side of the driver: an mdev parent with the types that the GPU's list has. */
static void updated(NvidiaModel *m, ModelGpu *gpu) {
        const Machine *machine = m->userdata;
        g_autofree char *address = g_strdup_printf("%04x:%02x:%02x.0", gpu->domain, gpu->bus, gpu->slot);
        SimGpu sim_gpu;

        g_assert_cmpint(sim_gpu_load(&machine->sim, address, &sim_gpu), ==, 0);
        sim_parent_unregister(&machine->sim, &sim_gpu);
        sim_gpu.n_types = 0;
        for (unsigned i = 0; i < gpu->n_list && sim_gpu.n_types < SIM_TYPES_MAX; i++) {
                struct mdevgpu_type *type = &sim_gpu.types[sim_gpu.n_types++];
                ModelWords words;

                nvidia_model_describe(m, nvidia_model_find(m, gpu->list[i]), &words);
                *type = (struct mdevgpu_type){
                        .id = gpu->list[i],
                        .max_instances = words.max_instances,
                        .framebuffer = words.framebuffer,
                        .framebuffer_reserved = words.reserved,
                        .heads = words.heads,
                        .max_width = words.width,
                        .max_height = words.height,
                        .frame_limit = words.frame_limit,
                };
                (void)text_copy((char *)type->name, sizeof(type->name), words.name);
                for (uint32_t k = 0; k + 1 < sim_gpu.n_types; k++)
                        if (sim_gpu.types[k].id == type->id) { /* one that stands twice is one */
                                sim_gpu.n_types--;
                                break;
                        }
        }
        g_assert_cmpint(sim_gpu_store(&machine->sim, &sim_gpu), ==, 0);
        g_assert_cmpint(sim_parent_register(&machine->sim, &sim_gpu), ==, 0);
}

NvidiaModel *nvidia_sim_begin(Machine *machine, const char *version) {
        g_autofree char *text = g_strdup_printf("%s\n", version);

        g_assert_true(nvidia_model_init(&model, version));
        (void)nvidia_model_plug(&model, 0, 0x41, 0, 1);
        (void)nvidia_model_plug(&model, 0, 0x42, 0, 0);
        model.updated = updated;
        model.notified = nvidia_stand_notified;
        model.userdata = machine;
        g_assert_cmpint(sim_mkdir(&machine->sim, "sys/module/nvidia"), ==, 0);
        g_assert_cmpint(sim_write(&machine->sim, text, 0444, "sys/module/nvidia/version"), ==, 0);

        nvidia_stand_use(&model);
        lower_ops = machine->host_ops;
        lower = &lower_ops;
        machine->host_ops.open_node = open_node;
        machine->host_ops.ioctl = call;
        machine->host_ops.read_node = read_node;
        machine->host_ops.watch_program = watch_program;
        return &model;
}

void nvidia_sim_end(void) {
        program_fd = fd_close(program_fd);
        nvidia_stand_use(NULL);
}
