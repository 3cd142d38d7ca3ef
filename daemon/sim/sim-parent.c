/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The mdev parents of the simulated machine: what their drivers register, and what is left of it.
 */

#include <inttypes.h>

#include "sim/sim-internal.h"
#include "util/file.h"
#include "util/text.h"

unsigned sim_count_live(const SimHost *sim, const SimGpu *gpu, const struct mdevgpu_type *type) {
        _cleanup_(dir_closep) DIR *dir = NULL;
        struct dirent *entry;
        unsigned n = 0;
        char path[256];

        /* kernel/vgpus/ADDRESS/ID: one file for each instance, from its probe to its release. */
        (void)snprintf(path, sizeof(path), "kernel/vgpus/%s/%u", gpu->address, type->id);
        if (directory_list(sim->root_fd, path, &dir) < 0)
                return 0;

        while ((entry = directory_next(dir)))
                n++;
        return n;
}

uint64_t sim_type_cost(const struct mdevgpu_type *type) {
        return type->framebuffer + type->framebuffer_reserved;
}

static uint64_t count_used_by_type(const SimHost *sim, const SimGpu *gpu, const struct mdevgpu_type *type) {
        _cleanup_(dir_closep) DIR *dir = NULL;
        struct dirent *entry;
        uint64_t used = 0;
        char path[256];

        (void)snprintf(path, sizeof(path), "kernel/vgpus/%s/%u", gpu->address, type->id);
        if (directory_list(sim->root_fd, path, &dir) < 0)
                return 0;

        while ((entry = directory_next(dir))) {
                uint64_t cost = 0;

                (void)attribute_read_number(dirfd(dir), entry->d_name, UINT64_MAX, &cost);
                used += cost;
        }

        return used;
}

uint64_t sim_count_used(const SimHost *sim, const SimGpu *gpu) {
        uint64_t used = 0;

        for (uint32_t i = 0; i < gpu->n_types; i++)
                used += count_used_by_type(sim, gpu, &gpu->types[i]);

        return used;
}

static unsigned count_left(const SimHost *sim, const SimGpu *gpu, uint32_t i, uint64_t used) {
        const struct mdevgpu_type *type = &gpu->types[i];
        uint64_t left = used < gpu->capacity ? (gpu->capacity - used) / MAX(sim_type_cost(type), 1U) : 0;
        unsigned live = sim_count_live(sim, gpu, type);

        if (gpu->retired[i] || live >= type->max_instances)
                return 0;
        return (unsigned)MIN(left, (uint64_t)(type->max_instances - live));
}

unsigned sim_count_available(const SimHost *sim, const SimGpu *gpu, const struct mdevgpu_type *type) {
        return count_left(sim, gpu, (uint32_t)(type - gpu->types), sim_count_used(sim, gpu));
}

void sim_parent_recount(const SimHost *sim, const SimGpu *gpu) {
        uint64_t used = sim_count_used(sim, gpu);
        char path[256];

        sim_gpu_path(gpu, path, sizeof(path));
        for (uint32_t i = 0; i < gpu->n_types; i++) {
                char text[32];

                (void)snprintf(text, sizeof(text), "%u\n", count_left(sim, gpu, i, used));
                (void)sim_write(sim, text, 0444, "sys/%s/mdev_supported_types/%s-%u/available_instances", path,
                                sim_gpu_driver(gpu), gpu->types[i].id);
        }
}

static int register_type(const SimHost *sim, const SimGpu *gpu, const char *path, const struct mdevgpu_type *type) {
        const char *driver = sim_gpu_driver(gpu);
        char text[512];
        int r;

        r = sim_mkdir(sim, "sys/%s/mdev_supported_types/%s-%u/devices", path, driver, type->id);
        if (r < 0)
                return r;

        (void)snprintf(text, sizeof(text), "%s\n", type->name);
        r = sim_write(sim, text, 0444, "sys/%s/mdev_supported_types/%s-%u/name", path, driver, type->id);
        if (r >= 0)
                r = sim_write(sim, "vfio-pci\n", 0444, "sys/%s/mdev_supported_types/%s-%u/device_api", path, driver,
                              type->id);
        if (r >= 0)
                r = sim_write(sim, "", 0200, "sys/%s/mdev_supported_types/%s-%u/create", path, driver, type->id);
        if (r < 0 || gpu->kind == SIM_GPU_MTTY)
                return r;

        (void)snprintf(text, sizeof(text),
                       "num_heads=%u, frl_config=%u, framebuffer=%" PRIu64 "M, max_resolution=%ux%u, max_instance=%u\n",
                       type->heads, type->frame_limit, (uint64_t)type->framebuffer >> 20, type->max_width,
                       type->max_height, type->max_instances);
        return sim_write(sim, text, 0444, "sys/%s/mdev_supported_types/%s-%u/description", path, driver, type->id);
}

int sim_parent_register(const SimHost *sim, const SimGpu *gpu) {
        char path[256], target[300];
        int r;

        if (gpu->n_types == 0)
                return 0;

        sim_gpu_path(gpu, path, sizeof(path));
        r = sim_mkdir(sim, "sys/class/mdev_bus");
        for (uint32_t i = 0; r >= 0 && i < gpu->n_types; i++)
                r = register_type(sim, gpu, path, &gpu->types[i]);
        if (r < 0)
                return r;

        sim_parent_recount(sim, gpu);
        (void)snprintf(target, sizeof(target), "sys/%s", path);
        r = sim_symlink(sim, target, "sys/class/mdev_bus/%s", gpu->address);
        sim_emit(sim, UEVENT_CHANGE, gpu->kind == SIM_GPU_MTTY ? UEVENT_PARENT : UEVENT_PCI, path);
        return r;
}

void sim_parent_unregister(const SimHost *sim, const SimGpu *gpu) {
        char path[256];

        sim_gpu_path(gpu, path, sizeof(path));
        sim_remove_tree(sim, "sys/class/mdev_bus/%s", gpu->address);
        sim_remove_tree(sim, "sys/%s/mdev_supported_types", path);
        sim_emit(sim, UEVENT_CHANGE, gpu->kind == SIM_GPU_MTTY ? UEVENT_PARENT : UEVENT_PCI, path);
}

int sim_parent_edit(const SimHost *sim, const SimGpu *gpu) {
        char path[256];
        int r = 0;

        sim_gpu_path(gpu, path, sizeof(path));
        for (uint32_t i = 0; r >= 0 && i < gpu->n_types; i++)
                r = register_type(sim, gpu, path, &gpu->types[i]);
        if (r < 0)
                return r;

        sim_parent_recount(sim, gpu);
        sim_emit(sim, UEVENT_CHANGE, UEVENT_PCI, path);
        return 0;
}
