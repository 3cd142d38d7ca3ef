/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Backend mdev: any vendor driver that registered an mdev parent with types of its own.
 */

#include "backend/backends.h"
#include "backend/mdev-counts.h"
#include "backend/mdev-sysfs.h"
#include "util/file.h"

static int mdev_probe(BackendContext *c, Error *error) {
        return mdev_sysfs_present(c->host, c->gpu);
}

/* A driver of another name may call its types so, too: its devices are elsewhere, as cards on a bus are. */
static bool is_mtty(const BackendContext *c) {
        char path[SYSFS_NAME_SIZE + 32], target[4096];
        ssize_t n;

        (void)snprintf(path, sizeof(path), "class/mdev_bus/%s", c->gpu);
        n = readlinkat(c->host->sys_fd, path, target, sizeof(target) - 1);
        if (n < 0)
                return false;

        target[n] = '\0';
        return strstr(target, "/devices/virtual/mtty/");
}

/*
 * No interface tells whether a driver keeps the state of a vGPU that nobody has open. The kernel's sample driver does
 * (samples/vfio-mdev/mtty.c makes it when the device is made, and touches it at no opening; observed, Linux 6.12).
 */
static void add_keeping(const BackendContext *c, GpuReport *report) {
        if (!is_mtty(c))
                return;

        for (size_t i = 0; i < report->n_types; i++)
                if (strncmp(report->types[i].id, "mtty-", strlen("mtty-")) == 0)
                        report->types[i].details.keeps_state = TRISTATE_YES;
}

static int mdev_read(BackendContext *c, GpuReport *report, Error *error) {
        int r;

        r = mdev_sysfs_read(c->host, c->gpu, report, error);
        if (r >= 0)
                add_keeping(c, report);
        return r;
}

static int mdev_create(BackendContext *c, const char *parent, const char *type_id, const char *uuid,
                       VGpuReport *ret_vgpu, Error *error) {
        return mdev_sysfs_create(c->host, c->gpu, parent, type_id, uuid, ret_vgpu, error);
}

static int mdev_find(BackendContext *c, const char *uuid, VGpuReport *ret_vgpu, Error *error) {
        return mdev_sysfs_find(c->host, c->gpu, uuid, ret_vgpu, error);
}

static int mdev_configure(BackendContext *c, const char *uuid, const Attribute *attribute, Error *error) {
        return mdev_sysfs_configure(c->host, c->gpu, uuid, attribute, error);
}

static int mdev_remove(BackendContext *c, const char *uuid, Error *error) {
        return mdev_sysfs_remove(c->host, c->gpu, uuid, error);
}

const Backend backend_mdev = {
        .name = "mdev",
        .probe = mdev_probe,
        .read = mdev_read,
        .create = mdev_create,
        .find = mdev_find,
        .configure = mdev_configure,
        .remove = mdev_remove,
        .read_counts = mdev_counts_read,
};
