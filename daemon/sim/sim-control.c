/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The open shim's control channel on the simulated machine, as shim/mdevgpu-shim.h says. Ownership is a lock on the open
 * file, so that it ends with it; nobody can take it over.
 */

#include "sim/sim-internal.h"
#include "util/file.h"
#include "util/text.h"

static int load_by_index(const SimHost *sim, unsigned index, SimGpu *ret_gpu) {
        _cleanup_(dir_closep) DIR *dir = NULL;
        struct dirent *entry;
        int r;

        r = directory_list(sim->root_fd, "kernel/gpus", &dir);
        if (r < 0)
                return r;

        while ((entry = directory_next(dir)))
                if (sim_gpu_load(sim, entry->d_name, ret_gpu) >= 0 && ret_gpu->kind == SIM_GPU_SHIM &&
                    ret_gpu->index == index)
                        return 0;

        return -ENODEV;
}

static unsigned count_live(const SimHost *sim, const SimGpu *gpu) {
        unsigned n = 0;

        for (uint32_t i = 0; i < gpu->n_types; i++)
                n += sim_count_live(sim, gpu, &gpu->types[i]);
        return n;
}

static int identify(const SimHost *sim, const SimGpu *gpu, bool owner, struct mdevgpu_identify *args) {
        if (args->size < MDEVGPU_IDENTIFY_SIZE_VER0)
                return -EINVAL;

        *args = (struct mdevgpu_identify){
                .size = sizeof(*args),
                .abi_version = MDEVGPU_ABI_VERSION,
                .capabilities = MDEVGPU_CAP_SET_TYPES | MDEVGPU_CAP_CAPACITY,
                .generation = gpu->generation,
                .epoch = gpu->epoch,
                .framebuffer_total = gpu->capacity,
                .max_types = SIM_TYPES_MAX,
                .n_types = gpu->n_types,
                .n_live = count_live(sim, gpu),
                .type_size = sizeof(struct mdevgpu_type),
                .flags = owner ? MDEVGPU_IDENTIFY_OWNED | MDEVGPU_IDENTIFY_OWNER : 0,
                .type_prefix = "mdevgpu_ref",
                .driver = "mdevgpu_ref",
                .driver_version = "simulated",
                .vendor = "mdevgpud",
                .model = "Simulated GPU",
        };
        memcpy(args->instance_id, gpu->instance_id, sizeof(args->instance_id));
        return 0;
}

static int get_types(const SimHost *sim, const SimGpu *gpu, struct mdevgpu_get_types *args) {
        struct mdevgpu_type *types = (struct mdevgpu_type *)(uintptr_t)args->types;
        uint32_t capacity = args->n_types;

        if (args->size < MDEVGPU_GET_TYPES_SIZE_VER0 || args->type_size != sizeof(struct mdevgpu_type) || args->flags)
                return -EINVAL;

        args->n_types = gpu->n_types;
        args->generation = gpu->generation;
        if (capacity < gpu->n_types)
                return -ENOSPC;

        for (uint32_t i = 0; i < gpu->n_types; i++) {
                types[i] = gpu->types[i];
                types[i].live = sim_count_live(sim, gpu, &gpu->types[i]);
                types[i].available = sim_count_available(sim, gpu, &gpu->types[i]);
        }

        return 0;
}

static uint32_t refuse(struct mdevgpu_type *type, uint32_t verdict, size_t field) {
        type->verdict_field = (uint32_t)field;
        return verdict;
}

static uint32_t judge_type(const SimGpu *gpu, struct mdevgpu_type *types, uint32_t i) {
        struct mdevgpu_type *t = &types[i];

        t->verdict_field = 0;
        if (t->id == 0)
                return refuse(t, MDEVGPU_VERDICT_BAD_ID, offsetof(struct mdevgpu_type, id));
        for (uint32_t k = 0; k < i; k++)
                if (types[k].id == t->id)
                        return refuse(t, MDEVGPU_VERDICT_DUPLICATE_ID, offsetof(struct mdevgpu_type, id));
        if (t->name[0] == '\0' || !memchr(t->name, '\0', sizeof(t->name)) || !text_is_printable(t->name))
                return refuse(t, MDEVGPU_VERDICT_BAD_NAME, offsetof(struct mdevgpu_type, name));
        if (t->max_instances == 0)
                return refuse(t, MDEVGPU_VERDICT_BAD_FIELD, offsetof(struct mdevgpu_type, max_instances));
        if (t->framebuffer == 0 || (t->framebuffer & 0xfffff) != 0)
                return refuse(t, MDEVGPU_VERDICT_BAD_FIELD, offsetof(struct mdevgpu_type, framebuffer));
        if ((t->bar1_size & (t->bar1_size - 1)) != 0)
                return refuse(t, MDEVGPU_VERDICT_BAD_FIELD, offsetof(struct mdevgpu_type, bar1_size));
        if (t->framebuffer > gpu->capacity || t->framebuffer_reserved > gpu->capacity - t->framebuffer)
                return refuse(t, MDEVGPU_VERDICT_TOO_LARGE, offsetof(struct mdevgpu_type, framebuffer));

        return MDEVGPU_VERDICT_OK;
}

static int set_types(SimHost *sim, SimGpu *gpu, bool owner, struct mdevgpu_set_types *args) {
        struct mdevgpu_type *types = (struct mdevgpu_type *)(uintptr_t)args->types;
        bool refused = false;

        if (args->size < MDEVGPU_SET_TYPES_SIZE_VER0 || args->type_size != sizeof(struct mdevgpu_type) ||
            (args->flags & ~MDEVGPU_SET_DRY_RUN) != 0)
                return -EINVAL;
        if (!owner)
                return -EBADF;
        if (args->n_types > SIM_TYPES_MAX)
                return -E2BIG;
        if (args->expected_generation != 0 && args->expected_generation != gpu->generation)
                return -EAGAIN;

        for (uint32_t i = 0; i < args->n_types; i++) {
                types[i].verdict = judge_type(gpu, types, i);
                refused = refused || types[i].verdict != MDEVGPU_VERDICT_OK;
        }

        args->generation = gpu->generation;
        args->n_live = count_live(sim, gpu);
        if (refused)
                return -EINVAL;
        if (args->n_live > 0) {
                for (uint32_t i = 0; i < args->n_types; i++)
                        types[i].verdict = MDEVGPU_VERDICT_LIVE;
                return -EBUSY;
        }
        if (args->flags & MDEVGPU_SET_DRY_RUN)
                return 0;

        sim_parent_unregister(sim, gpu);
        for (uint32_t i = 0; i < args->n_types; i++)
                gpu->types[i] = types[i];
        gpu->n_types = args->n_types;
        args->generation = ++gpu->generation;
        (void)sim_gpu_store(sim, gpu);
        return sim_parent_register(sim, gpu);
}

int sim_control(SimHost *sim, unsigned index, bool owner, unsigned long request, void *argument) {
        _cleanup_(fd_closep) int lock = -EBADF;
        SimGpu gpu;
        int r;

        lock = sim_lock(sim);
        if (lock < 0)
                return lock;
        r = load_by_index(sim, index, &gpu);
        if (r < 0)
                return r;

        switch (request) {
        case MDEVGPU_IDENTIFY:
                return identify(sim, &gpu, owner, argument);
        case MDEVGPU_GET_TYPES:
                return get_types(sim, &gpu, argument);
        case MDEVGPU_SET_TYPES:
                return set_types(sim, &gpu, owner, argument);
        default:
                return -ENOTTY;
        }
}
