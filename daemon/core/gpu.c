/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "core/gpu-sync.h"
#include "core/gpu.h"
#include "core/manager.h"
#include "core/type.h"
#include "core/vgpu.h"
#include "util/string-table.h"
#include "util/text.h"

static const char *const gpu_state_table[GPU_STATE_MAX] = {
        [GPU_PROBING] = "probing",
        [GPU_READY] = "ready",
        [GPU_NO_DRIVER] = "no-driver",
        [GPU_UNSUPPORTED] = "unsupported",
        [GPU_BUSY] = "busy",
        [GPU_FAILED] = "failed",
        [GPU_HOST_READY] = "host-ready",
        [GPU_NOT_VGPU_HOST] = "driver-not-vgpu-host",
        [GPU_LAYOUT_UNKNOWN] = "layout-unknown",
        [GPU_DEGRADED] = "degraded",
};

DEFINE_STRING_TABLE(gpu_state, GpuState)

int gpu_new(Manager *manager, const GpuIdentity *identity, Gpu **ret_gpu) {
        Gpu *gpu;
        int r;

        gpu = calloc(1, sizeof(Gpu));
        if (!gpu)
                return -ENOMEM;

        gpu->identity = *identity;
        r = map_add(&manager->gpus_by_address, &gpu->node, gpu->identity.address);
        if (r < 0) {
                free(gpu);
                return r;
        }

        gpu->manager = manager;
        gpu->framebuffer_total = gpu->framebuffer_used = UNKNOWN_U64;
        list_init(&gpu->types);
        list_init(&gpu->vgpus);
        list_init(&gpu->expected);
        list_append(&manager->gpus, &gpu->link);
        if (manager->name_lookup)
                manager->name_lookup(identity, gpu->vendor_name, sizeof(gpu->vendor_name), gpu->device_name,
                                     sizeof(gpu->device_name), manager->name_lookup_userdata);

        *ret_gpu = gpu;
        return 0;
}

Gpu *gpu_free(Gpu *gpu) {
        if (!gpu)
                return NULL;

        assert(!gpu->linked);
        assert(list_is_empty(&gpu->types));
        assert(list_is_empty(&gpu->vgpus));

        gpu_sync_stop(gpu);
        map_remove(&gpu->manager->gpus_by_address, &gpu->node);
        list_unlink(&gpu->link);
        free(gpu);
        return NULL;
}

void gpu_link(Gpu *gpu) {
        assert(!gpu->linked);

        gpu->linked = true;
        OBSERVE(gpu->manager, gpu_added, gpu);
}

void gpu_unlink(Gpu *gpu) {
        Type *type;

        LIST_FOREACH(type, &gpu->types, link)
                type_free(type);

        if (gpu->linked)
                OBSERVE(gpu->manager, gpu_removed, gpu);
        gpu->linked = false;
}

bool gpu_offers_type(const Gpu *gpu) {
        Type *type;

        LIST_FOREACH(type, &gpu->types, link)
                if (type->report.registration == REGISTRATION_REGISTERED ||
                    type->report.registration == REGISTRATION_DIFFERS)
                        return true;

        return false;
}

bool gpu_makes_vgpus(const Gpu *gpu) {
        switch (gpu->state) {
        case GPU_READY:
        case GPU_HOST_READY:
        case GPU_DEGRADED:
                return true;
        case GPU_NOT_VGPU_HOST:
        case GPU_LAYOUT_UNKNOWN:
                /* Nothing can be registered, but what the kernel offers by itself, or the card as a whole, can be had. */
                return gpu_offers_type(gpu);
        default:
                return false;
        }
}

const char *gpu_get_name(const Gpu *gpu) {
        if (gpu->model[0] != '\0')
                return gpu->model;
        if (gpu->device_name[0] != '\0')
                return gpu->device_name;

        return gpu->identity.address;
}

Type *gpu_find_type_by_id(const Gpu *gpu, const char *id) {
        Type *type;

        LIST_FOREACH(type, &gpu->types, link)
                if (streq(type->report.id, id))
                        return type;

        return NULL;
}

/* "a (A), b (B)": ids and names of all types, or of those with this name, as many as fit. */
static void list_types(const Gpu *gpu, const char *name, char *buffer, size_t size) {
        size_t n = 0;
        Type *type;

        buffer[0] = '\0';
        LIST_FOREACH(type, &gpu->types, link) {
                int k;

                if (name && !streq(type->report.name, name))
                        continue;
                k = snprintf(buffer + n, size - n, "%s%s (%s)", n > 0 ? ", " : "", type->report.id, type->report.name);
                if (k < 0 || (size_t)k >= size - n) {
                        buffer[n] = '\0';
                        return;
                }
                n += (size_t)k;
        }
}

static bool type_is_called(const Type *type, const char *word, bool by_number) {
        char number[16];

        if (!by_number)
                return streq(type->report.name, word);

        (void)snprintf(number, sizeof(number), "%u", type->report.vendor_id);
        return type->report.vendor_id != UNKNOWN_U32 && streq(number, word);
}

/* The number of types that are called so. */
static unsigned find_types(const Gpu *gpu, const char *word, bool by_number, Type **ret_type) {
        unsigned n = 0;
        Type *type;

        LIST_FOREACH(type, &gpu->types, link)
                if (type_is_called(type, word, by_number)) {
                        *ret_type = type;
                        n++;
                }

        return n;
}

int gpu_find_type(Gpu *gpu, const char *word, Type **ret_type, Error *error) {
        const char *address = gpu->identity.address;
        unsigned n_found;
        char list[320];
        Type *type;

        type = gpu_find_type_by_id(gpu, word);
        n_found = type ? 1 : find_types(gpu, word, /* by_number= */ false, &type);
        if (n_found == 1 || (n_found == 0 && find_types(gpu, word, /* by_number= */ true, &type) == 1)) {
                *ret_type = type;
                return 0;
        }

        list_types(gpu, n_found > 1 ? word : NULL, list, sizeof(list));
        if (n_found > 1)
                return error_set(error, -ERROR_NO_SUCH_TYPE, "GPU %s has %u types named '%.64s'; say which one: %s",
                                 address, n_found, word, list);
        if (list_is_empty(&gpu->types))
                return error_set(error, -ERROR_NO_SUCH_TYPE, "GPU %s has no type '%.64s': it has no types at all",
                                 address, word);

        return error_set(error, -ERROR_NO_SUCH_TYPE, "GPU %s has no type '%.64s'; it has %s", address, word, list);
}

void gpu_apply_counts(Gpu *gpu, const TypeCount *counts, size_t n_counts) {
        for (size_t i = 0; i < n_counts; i++) {
                Type *type = gpu_find_type_by_id(gpu, counts[i].id);

                /* Of others none can be made, whatever the driver has left of them. */
                if (type && (type->report.registration == REGISTRATION_REGISTERED ||
                             type->report.registration == REGISTRATION_DIFFERS))
                        type_set_available(type, counts[i].available);
        }
}
