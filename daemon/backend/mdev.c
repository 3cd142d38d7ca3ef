/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Backend mdev: any vendor driver that registered an mdev parent with types of its own.
 */

#include "backend/backends.h"
#include "backend/mdev-counts.h"
#include "backend/mdev-sysfs.h"

static int mdev_probe(BackendContext *c, Error *error) {
        return mdev_sysfs_present(c->host, c->gpu);
}

static int mdev_read(BackendContext *c, GpuReport *report, Error *error) {
        return mdev_sysfs_read(c->host, c->gpu, report, error);
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
