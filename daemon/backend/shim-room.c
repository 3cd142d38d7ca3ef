/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Shim room: whether one more vGPU fits the GPU's framebuffer, by what the driver says that it is used now. Where that is
 * not known the driver is left to judge, which it does in any case.
 */

#include <inttypes.h>

#include "backend/shim-types.h"
#include "util/text.h"

/* How much is free; -ENODATA where the driver does not hold its types to that, or does not say. */
static int read_free(const ShimTypes *t, const Host *host, int fd, uint64_t *ret_free) {
        struct mdevgpu_get_usage args = { .size = sizeof(args), .vgpu_size = sizeof(struct mdevgpu_vgpu) };
        int r;

        if (!(t->identity.capabilities & MDEVGPU_CAP_CAPACITY) || !(t->identity.capabilities & MDEVGPU_CAP_USAGE))
                return -ENODATA;

        /* The sums are told without room for the rows, too. */
        r = host->ops->ioctl(host, fd, MDEVGPU_GET_USAGE, &args);
        if ((r < 0 && r != -ENOSPC) || args.framebuffer_used > args.framebuffer_total)
                return -ENODATA;

        *ret_free = args.framebuffer_total - args.framebuffer_used;
        return 0;
}

static const struct mdevgpu_type *find_by_folder(const ShimTypes *t, const char *folder) {
        char id[TYPE_ID_SIZE];

        for (size_t i = 0; i < t->n_current; i++) {
                shim_type_folder(t, t->current[i].id, id, sizeof(id));
                if (streq(id, folder))
                        return &t->current[i];
        }

        return NULL;
}

int shim_check_room(ShimTypes *t, const Host *host, int fd, const char *gpu, const char *type_id, Error *error) {
        const struct mdevgpu_type *type;
        uint64_t left, needed;

        if (read_free(t, host, fd, &left) < 0 || shim_types_read(t, host, fd, error) < 0)
                return 0;

        type = find_by_folder(t, type_id);
        if (!type)
                return 0;
        if (__builtin_add_overflow(type->framebuffer, type->framebuffer_reserved, &needed))
                needed = UINT64_MAX;
        if (needed <= left)
                return 0;

        return error_set(error, -ERROR_NO_INSTANCES,
                         "GPU %s has %" PRIu64 " MiB of framebuffer left, and a vGPU of type %s needs %" PRIu64
                         " MiB; destroy a vGPU or choose another type",
                         gpu, left >> 20, type_id, (needed >> 20) + !!(needed & 0xfffff));
}
