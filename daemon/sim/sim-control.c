/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The open shim's control channel on the simulated machine, as shim/mdevgpu-shim.h says. Ownership is a lock on the open
 * file, so that it ends with it; nobody can take it over: the capabilities say so. Events are in sim-events.c.
 */

#include <uuid.h>

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

static uint32_t count_retired(const SimGpu *gpu) {
        uint32_t n = 0;

        for (uint32_t i = 0; i < gpu->n_types; i++)
                n += gpu->retired[i];
        return n;
}

static int identify(const SimHost *sim, const SimGpu *gpu, bool owner, struct mdevgpu_identify *args) {
        if (args->size < MDEVGPU_IDENTIFY_SIZE_VER0)
                return -EINVAL;

        *args = (struct mdevgpu_identify){
                .size = sizeof(*args),
                .abi_version = MDEVGPU_ABI_VERSION,
                .capabilities = MDEVGPU_CAP_SET_TYPES | MDEVGPU_CAP_CAPACITY | MDEVGPU_CAP_EDIT_LIVE |
                                MDEVGPU_CAP_USAGE | MDEVGPU_CAP_EVENTS | MDEVGPU_CAP_KEEP_STATE,
                .generation = gpu->generation,
                .epoch = gpu->epoch,
                .framebuffer_total = gpu->capacity,
                .max_types = SIM_TYPES_MAX,
                .n_types = gpu->n_types - count_retired(gpu),
                .n_retired = count_retired(gpu),
                .n_live = count_live(sim, gpu),
                .type_size = sizeof(struct mdevgpu_type),
                .flags = owner ? MDEVGPU_IDENTIFY_OWNED | MDEVGPU_IDENTIFY_OWNER : 0,
                .type_prefix = "mdevgpu_ref",
                .driver = "mdevgpu_ref",
                .driver_version = "simulated",
                .vendor = "mdevgpud",
                .model = "Simulated GPU",
                .state_format = "MGPUSTAT-1",
        };
        memcpy(args->instance_id, gpu->instance_id, sizeof(args->instance_id));
        return 0;
}

static int get_types(const SimHost *sim, const SimGpu *gpu, struct mdevgpu_get_types *args) {
        struct mdevgpu_type *types = (struct mdevgpu_type *)(uintptr_t)args->types;
        bool retired = args->flags & MDEVGPU_GET_RETIRED;
        uint32_t room = args->n_types, n = 0;

        if (args->size < MDEVGPU_GET_TYPES_SIZE_VER0 || args->type_size != sizeof(struct mdevgpu_type) ||
            (args->flags & ~MDEVGPU_GET_RETIRED) != 0)
                return -EINVAL;

        args->n_types = retired ? count_retired(gpu) : gpu->n_types - count_retired(gpu);
        args->generation = gpu->generation;
        if (room < args->n_types)
                return -ENOSPC;

        for (uint32_t i = 0; i < gpu->n_types; i++) {
                if (gpu->retired[i] != retired)
                        continue;
                types[n] = gpu->types[i];
                types[n].live = sim_count_live(sim, gpu, &gpu->types[i]);
                types[n++].available = sim_count_available(sim, gpu, &gpu->types[i]);
        }

        return 0;
}

/* The vGPUs of one type. */
static uint32_t get_usage_of_type(const SimHost *sim, const SimGpu *gpu, const struct mdevgpu_type *type,
                                  const SimHeld *held, struct mdevgpu_vgpu *rows) {
        _cleanup_(dir_closep) DIR *dir = NULL;
        struct dirent *entry;
        uint32_t n = 0;
        char path[256];

        (void)snprintf(path, sizeof(path), "kernel/vgpus/%s/%u", gpu->address, type->id);
        if (directory_list(sim->root_fd, path, &dir) < 0)
                return 0;

        while ((entry = directory_next(dir))) {
                struct mdevgpu_vgpu row = { .type_id = type->id, .share = MDEVGPU_SHARE_DEFAULT };
                uint64_t cost = 0;

                if (uuid_parse(entry->d_name, row.uuid) < 0)
                        continue;
                (void)attribute_read_number(dirfd(dir), entry->d_name, UINT64_MAX, &cost);
                row.framebuffer = cost;
                if (sim_mdev_is_held(sim, entry->d_name, held))
                        row.flags |= MDEVGPU_VGPU_OPEN;
                rows[n++] = row;
        }

        return n;
}

static int get_usage(const SimHost *sim, const SimGpu *gpu, struct mdevgpu_get_usage *args) {
        struct mdevgpu_vgpu *rows = (struct mdevgpu_vgpu *)(uintptr_t)args->vgpus;
        uint32_t room = args->n_vgpus, n = 0;
        SimHeld held;

        if (args->size < MDEVGPU_GET_USAGE_SIZE_VER0 || args->vgpu_size != sizeof(struct mdevgpu_vgpu) ||
            args->flags != 0)
                return -EINVAL;

        args->n_vgpus = count_live(sim, gpu);
        args->framebuffer_total = gpu->capacity;
        args->framebuffer_used = sim_count_used(sim, gpu);
        if (room < args->n_vgpus)
                return -ENOSPC;
        if (args->n_vgpus == 0)
                return 0;

        sim_held_read(sim, &held);
        for (uint32_t i = 0; i < gpu->n_types; i++)
                n += get_usage_of_type(sim, gpu, &gpu->types[i], &held, rows + n);

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

static int find_registered(const SimGpu *gpu, uint32_t id) {
        for (uint32_t i = 0; i < gpu->n_types; i++)
                if (gpu->types[i].id == id)
                        return (int)i;

        return -ENOENT;
}

/* Types that are not registered cannot come while a vGPU lives. */
static int judge_live(const SimGpu *gpu, struct mdevgpu_type *types, uint32_t n_types) {
        int r = 0;

        for (uint32_t i = 0; i < n_types; i++)
                if (find_registered(gpu, types[i].id) < 0) {
                        types[i].verdict = MDEVGPU_VERDICT_LIVE;
                        r = -EBUSY;
                }

        return r;
}

static bool is_same(const SimGpu *gpu, const struct mdevgpu_type *types, uint32_t n_types, bool live) {
        if (gpu->n_types - count_retired(gpu) != n_types || (!live && count_retired(gpu) > 0))
                return false;

        for (uint32_t i = 0; i < n_types; i++) {
                int k = find_registered(gpu, types[i].id);

                if (k < 0 || gpu->retired[k] ||
                    memcmp(&gpu->types[k], &types[i], offsetof(struct mdevgpu_type, verdict)) != 0)
                        return false;
        }

        return true;
}

/* In place: what is not in the set is retired. */
static int edit_types(SimHost *sim, SimGpu *gpu, const struct mdevgpu_type *types, uint32_t n_types) {
        for (uint32_t i = 0; i < gpu->n_types; i++)
                gpu->retired[i] = true;

        for (uint32_t i = 0; i < n_types; i++) {
                int k = find_registered(gpu, types[i].id);

                gpu->types[k] = types[i];
                gpu->retired[k] = false;
        }

        (void)sim_gpu_store(sim, gpu);
        return sim_parent_edit(sim, gpu);
}

static int replace_types(SimHost *sim, SimGpu *gpu, const struct mdevgpu_type *types, uint32_t n_types) {
        sim_parent_unregister(sim, gpu);
        for (uint32_t i = 0; i < n_types; i++) {
                gpu->types[i] = types[i];
                gpu->retired[i] = false;
        }
        gpu->n_types = n_types;
        (void)sim_gpu_store(sim, gpu);
        return sim_parent_register(sim, gpu);
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

        for (uint32_t i = 0; i < args->n_types; i++) {
                types[i].verdict = judge_type(gpu, types, i);
                refused = refused || types[i].verdict != MDEVGPU_VERDICT_OK;
        }

        args->generation = gpu->generation;
        args->n_live = count_live(sim, gpu);
        if (refused)
                return -EINVAL;
        if (args->expected_generation != 0 && args->expected_generation != gpu->generation)
                return -EAGAIN;
        if (is_same(gpu, types, args->n_types, args->n_live > 0))
                return 0;
        if (args->n_live > 0 && judge_live(gpu, types, args->n_types) < 0)
                return -EBUSY;
        if (args->flags & MDEVGPU_SET_DRY_RUN)
                return 0;

        args->generation = ++gpu->generation;
        if (args->n_live > 0)
                return edit_types(sim, gpu, types, args->n_types);
        return replace_types(sim, gpu, types, args->n_types);
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
        case MDEVGPU_GET_USAGE:
                return get_usage(sim, &gpu, argument);
        case MDEVGPU_TAKEOVER:
        case MDEVGPU_SET_SHARE:
                return -EOPNOTSUPP;
        case MDEVGPU_SUBSCRIBE: /* what comes of it is sim_watch_node()'s */
                return 0;
        default:
                return -ENOTTY;
        }
}
