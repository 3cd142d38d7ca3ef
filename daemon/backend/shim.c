/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Backend shim: a GPU whose vendor module is registered with the open shim (shim/mdevgpu-shim.h). Types go in by ioctl
 * on the GPU's control node, which this worker owns for as long as it lives; vGPUs are mdevs.
 */

#include <fcntl.h>

#include "backend/backends.h"
#include "backend/mdev-counts.h"
#include "backend/mdev-sysfs.h"
#include "backend/shim-types.h"
#include "util/file.h"
#include "util/text.h"

typedef struct ShimState {
        char node[64]; /* mdevgpu/gpu0, below /dev */
        int fd; /* the open file is the ownership */
        int watch_fd; /* of its events; -EBADF: it has none */
        ShimTypes types;
} ShimState;

/* The control node of a GPU, from <device>/mdevgpu/gpuN. -ENOENT: its driver is not with the shim. */
static int find_node(const Host *host, const char *gpu, char *buffer, size_t size) {
        _cleanup_(dir_closep) DIR *dir = NULL;
        char path[SYSFS_NAME_SIZE + 64];
        struct dirent *entry;
        int r;

        (void)snprintf(path, sizeof(path), "bus/pci/devices/%s/mdevgpu", gpu);
        r = directory_list(host->sys_fd, path, &dir);
        if (r < 0)
                return r;

        while ((entry = directory_next(dir)))
                if (strncmp(entry->d_name, "gpu", 3) == 0 && strlen(entry->d_name) < size - strlen("mdevgpu/")) {
                        (void)snprintf(buffer, size, "mdevgpu/%.40s", entry->d_name);
                        return 0;
                }

        return -ENOENT;
}

static void shim_close(BackendContext *c) {
        ShimState *state = c->state;

        if (!state)
                return;

        fd_close(state->fd);
        fd_close(state->watch_fd);
        shim_types_done(&state->types);
        free(state);
        c->state = NULL;
}

static int shim_probe(BackendContext *c, Error *error) {
        char node[64];
        int r;

        r = find_node(c->host, c->gpu, node, sizeof(node));
        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return error_set_errno(error, r, "the GPU's control node cannot be looked for");

        return 1;
}

/* A worker of a daemon that has just ended ends as soon as its driver returns, usually at once. */
#define ORPHAN_INTERVAL_USEC 10000U
#define ORPHAN_TRIES 100U
/* Where it takes longer than a driver should, the GPU is taken over from it. */
#define ORPHAN_PATIENCE 20U

static int explain_owned(const ShimState *state, const User *owner, Error *error) {
        if (owner->pid > 0)
                return error_set(error, -ERROR_BUSY, "its control channel /dev/%s is owned by process %i (%s, uid %u)",
                                 state->node, owner->pid, owner->comm, owner->uid);

        return error_set(error, -ERROR_BUSY, "its control channel /dev/%s is owned by another process", state->node);
}

/*
 * Becomes the owner of the control node. If somebody else is, it may be a worker of a daemon before this one, which ends
 * in a moment; or is stuck in the kernel and cannot be killed: from such a one the GPU is taken over. Not from one whose
 * daemon runs: there is one daemon on a bus, but there may be another bus.
 */
static int open_node(BackendContext *c, ShimState *state, Error *error) {
        const Host *host = c->host;
        User owner = {};
        int r;

        for (unsigned i = 0; i < ORPHAN_TRIES; i++) {
                r = host->ops->open_node(host, state->node, O_RDWR | O_NONBLOCK);
                if (r >= 0) {
                        state->fd = r;
                        return 0;
                }
                if (r != -EBUSY)
                        return error_set(error, r, "/dev/%s cannot be opened: %s", state->node, strerrordesc_np(-r));

                /* Nobody is seen: it has ended in between, or is somebody whom /proc does not show. */
                owner = (User){};
                r = shim_find_owner(host, state->node, &owner);
                if (r > 0 && !shim_owner_is_orphan(host, &owner))
                        break;
                if (r > 0 && i >= ORPHAN_PATIENCE && shim_take_over(host, state->node, &state->fd, error) >= 0)
                        return 0;
                (void)usleep(ORPHAN_INTERVAL_USEC);
        }

        return explain_owned(state, &owner, error);
}

/* The state for the node that the GPU has now: a new one after the driver was loaded anew. */
static int shim_open(BackendContext *c, ShimState **ret_state, Error *error) {
        ShimState *state = c->state;
        char node[64];
        int r;

        r = find_node(c->host, c->gpu, node, sizeof(node));
        if (r < 0)
                return error_set(error, -ERROR_NO_SUCH_GPU, "its driver has left the shim");

        if (state && streq(state->node, node) && shim_types_identify(&state->types, c->host, state->fd) >= 0) {
                *ret_state = state;
                return 0;
        }

        shim_close(c);
        state = calloc(1, sizeof(ShimState));
        if (!state)
                return error_set_errno(error, -ENOMEM, "the control channel cannot be opened");
        state->fd = state->watch_fd = -EBADF;
        (void)text_copy(state->node, sizeof(state->node), node);
        c->state = state;

        r = open_node(c, state, error);
        if (r >= 0) {
                r = shim_types_identify(&state->types, c->host, state->fd);
                if (r < 0)
                        (void)error_set(error, r, "/dev/%s does not say what it is: %s", node, strerrordesc_np(-r));
        }
        if (r < 0) {
                shim_close(c);
                return r;
        }

        state->watch_fd = shim_subscribe(&state->types, c->host, state->fd);
        *ret_state = state;
        return 0;
}

static int shim_read(BackendContext *c, GpuReport *report, Error *error) {
        ShimState *state;
        int r;

        r = shim_open(c, &state, error);
        if (r < 0)
                return r;
        r = mdev_sysfs_read(c->host, c->gpu, report, error);
        if (r < 0)
                return r;
        r = shim_types_read(&state->types, c->host, state->fd, error);
        if (r >= 0 && state->watch_fd >= 0)
                r = shim_read_use(c->host, state->fd, report, error);
        if (r < 0)
                return r;

        return shim_types_report(&state->types, c->wanted, c->n_wanted, report, error);
}

static int shim_register_types(BackendContext *c, Error *error) {
        ShimState *state;
        int r;

        r = shim_open(c, &state, error);
        if (r < 0)
                return r;

        return shim_types_set(&state->types, c->host, state->fd, c->wanted, c->n_wanted, c->apply_pending, error);
}

static int shim_create(BackendContext *c, const char *parent, const char *type_id, const char *uuid,
                       VGpuReport *ret_vgpu, Error *error) {
        ShimState *state = c->state;
        int r;

        if (state) {
                r = shim_check_room(&state->types, c->host, state->fd, c->gpu, type_id, error);
                if (r < 0)
                        return r;
        }

        r = mdev_sysfs_create(c->host, c->gpu, parent, type_id, uuid, ret_vgpu, error);
        /* Whoever opens it after this is told of when this job is done. */
        if (r >= 0 && state && state->watch_fd >= 0)
                ret_vgpu->use = VGPU_USE_NO;
        return r;
}

static int shim_find(BackendContext *c, const char *uuid, VGpuReport *ret_vgpu, Error *error) {
        return mdev_sysfs_find(c->host, c->gpu, uuid, ret_vgpu, error);
}

static int shim_configure(BackendContext *c, const char *uuid, const Attribute *attribute, Error *error) {
        return mdev_sysfs_configure(c->host, c->gpu, uuid, attribute, error);
}

static int shim_remove(BackendContext *c, const char *uuid, Error *error) {
        return mdev_sysfs_remove(c->host, c->gpu, uuid, error);
}

/* Whoever does not own the GPU may ask, too: a worker that looks for users. */
static int shim_read_usage_now(BackendContext *c, UsageReport *report, Error *error) {
        const ShimState *state = c->state;
        char node[64];
        int fd, r;

        if (state)
                return shim_read_usage(c->host, state->fd, report, error);

        r = find_node(c->host, c->gpu, node, sizeof(node));
        if (r < 0)
                return error_set(error, -ERROR_NO_SUCH_GPU, "its driver has left the shim");
        fd = c->host->ops->open_node(c->host, node, O_RDONLY | O_NONBLOCK);
        if (fd < 0)
                return error_set(error, fd, "/dev/%s cannot be opened: %s", node, strerrordesc_np(-fd));

        r = shim_read_usage(c->host, fd, report, error);
        fd_close(fd);
        return r;
}

static int shim_watch(BackendContext *c) {
        const ShimState *state = c->state;

        return state ? state->watch_fd : -1;
}

static int shim_hear(BackendContext *c, WorkerEvent *ret_event) {
        ShimState *state = c->state;
        int r;

        r = shim_read_event(c->host, state->watch_fd, ret_event);
        if (r == -EAGAIN)
                return 0;
        if (r < 0) {
                /* The driver has gone, say: nothing more comes of it, and the next reading tells why. */
                state->watch_fd = fd_close(state->watch_fd);
                *ret_event = (WorkerEvent){ .kind = WORKER_EVENT_CHANGED };
                return 1;
        }

        return r;
}

const Backend backend_shim = {
        .name = "shim",
        .probe = shim_probe,
        .read = shim_read,
        .register_types = shim_register_types,
        .create = shim_create,
        .find = shim_find,
        .configure = shim_configure,
        .remove = shim_remove,
        .read_counts = mdev_counts_read,
        .read_usage = shim_read_usage_now,
        .watch = shim_watch,
        .hear = shim_hear,
        .close = shim_close,
};
