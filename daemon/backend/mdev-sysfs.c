/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "backend/description.h"
#include "backend/mdev-counts.h"
#include "backend/mdev-parents.h"
#include "backend/mdev-sysfs.h"
#include "util/file.h"
#include "util/text.h"

#define PATH_SIZE 1024U

bool mdev_sysfs_present(const Host *host, const char *gpu) {
        MdevParents parents;

        mdev_parents_read(host, gpu, &parents);
        return parents.n > 0;
}

/* The N of <driver>-N, if that is all that follows the last dash. */
static uint32_t parse_vendor_id(const char *id) {
        const char *p = strrchr(id, '-');
        unsigned long v;
        char *end;

        if (!p || p[1] < '0' || p[1] > '9')
                return UNKNOWN_U32;

        errno = 0;
        v = strtoul(p + 1, &end, 10);
        return errno == 0 && *end == '\0' && v < UNKNOWN_U32 ? (uint32_t)v : UNKNOWN_U32;
}

static uint32_t read_available(int types_fd, const char *id) {
        char path[SYSFS_NAME_SIZE + 32];
        uint64_t v;

        (void)snprintf(path, sizeof(path), "%s/available_instances", id);
        return attribute_read_number(types_fd, path, UNKNOWN_U32 - 1, &v) < 0 ? UNKNOWN_U32 : (uint32_t)v;
}

uint32_t mdev_sysfs_read_available(const Host *host, const char *parent, const char *type_id) {
        _cleanup_(fd_closep) int fd = -EBADF;
        char path[PATH_SIZE];

        (void)snprintf(path, sizeof(path), "class/mdev_bus/%s/mdev_supported_types", parent);
        fd = directory_open(host->sys_fd, path);
        return fd < 0 ? UNKNOWN_U32 : read_available(fd, type_id);
}

static void read_type(int types_fd, const char *id, TypeReport *type) {
        char path[SYSFS_NAME_SIZE + 32];

        (void)text_copy(type->id, sizeof(type->id), id);
        (void)snprintf(path, sizeof(path), "%s/name", id);
        attribute_read_text(types_fd, path, type->name, sizeof(type->name));
        (void)snprintf(path, sizeof(path), "%s/device_api", id);
        attribute_read_text(types_fd, path, type->device_api, sizeof(type->device_api));
        (void)snprintf(path, sizeof(path), "%s/description", id);
        if (attribute_read(types_fd, path, type->description, sizeof(type->description)) < 0)
                type->description[0] = '\0';
        /* Some drivers write lines, others a list with commas: here it is a list. */
        for (char *p = type->description; (p = strchr(p, '\n')); p++)
                *p = ',';
        text_sanitize(type->description);
        description_parse(type->description, type);

        type->vendor_id = parse_vendor_id(id);
        type->available = read_available(types_fd, id);
        type->source = TYPE_SOURCE_DRIVER;
        type->registration = REGISTRATION_REGISTERED;
}

static TypeReport *find_type(GpuReport *report, const char *id) {
        for (size_t i = 0; i < report->n_types; i++)
                if (streq(report->types[i].id, id))
                        return &report->types[i];

        return NULL;
}

static int32_t read_iommu_group(const Host *host, const char *uuid) {
        char path[PATH_SIZE], group[SYSFS_NAME_SIZE], *end;
        long v;

        (void)snprintf(path, sizeof(path), "bus/mdev/devices/%s/iommu_group", uuid);
        if (link_read_basename(host->sys_fd, path, group, sizeof(group)) < 0)
                return -1;

        errno = 0;
        v = strtol(group, &end, 10);
        return errno == 0 && end != group && *end == '\0' && v >= 0 && v <= INT32_MAX ? (int32_t)v : -1;
}

void mdev_sysfs_describe(const Host *host, const char *parent, const char *type_id, const char *uuid,
                         VGpuReport *vgpu) {
        *vgpu = (VGpuReport){};
        (void)text_copy(vgpu->uuid, sizeof(vgpu->uuid), uuid);
        (void)text_copy(vgpu->type_id, sizeof(vgpu->type_id), type_id);
        (void)text_copy(vgpu->parent, sizeof(vgpu->parent), parent);
        (void)snprintf(vgpu->sysfs_path, sizeof(vgpu->sysfs_path), "/sys/bus/mdev/devices/%s", uuid);
        vgpu->iommu_group = read_iommu_group(host, uuid);
        vgpu->kind = VGPU_MDEV;
}

static int read_vgpus(const Host *host, const char *parent, int types_fd, const char *type_id, GpuReport *report) {
        _cleanup_(dir_closep) DIR *dir = NULL;
        char path[SYSFS_NAME_SIZE + 32];
        struct dirent *entry;

        (void)snprintf(path, sizeof(path), "%s/devices", type_id);
        if (directory_list(types_fd, path, &dir) < 0)
                return 0;

        while ((entry = directory_next(dir))) {
                char uuid[UUID_STRING_SIZE];
                VGpuReport *vgpu;

                if (text_parse_uuid(entry->d_name, uuid) < 0)
                        continue;

                vgpu = gpu_report_add_vgpu(report);
                if (!vgpu)
                        return -ENOMEM;
                mdev_sysfs_describe(host, parent, type_id, uuid, vgpu);
        }

        return 0;
}

static int read_parent(const Host *host, const char *parent, GpuReport *report) {
        _cleanup_(dir_closep) DIR *dir = NULL;
        char path[PATH_SIZE];
        struct dirent *entry;
        int r;

        (void)snprintf(path, sizeof(path), "class/mdev_bus/%s/mdev_supported_types", parent);
        r = directory_list(host->sys_fd, path, &dir);
        if (r < 0) /* the parent has just gone, or has no types (yet) */
                return r == -ENOENT ? 0 : r;

        while ((entry = directory_next(dir))) {
                TypeReport *type;

                if (!text_is_name(entry->d_name) || strlen(entry->d_name) >= TYPE_ID_SIZE)
                        continue;

                type = find_type(report, entry->d_name);
                if (type)
                        type->available = mdev_counts_add(type->available, read_available(dirfd(dir), entry->d_name));
                else {
                        type = gpu_report_add_type(report);
                        if (!type)
                                return -ENOMEM;
                        read_type(dirfd(dir), entry->d_name, type);
                }

                r = read_vgpus(host, parent, dirfd(dir), entry->d_name, report);
                if (r < 0)
                        return r;
        }

        return 0;
}

static int compare_types(const void *a, const void *b) {
        const TypeReport *x = a, *y = b;

        return strverscmp(x->id, y->id);
}

int mdev_sysfs_read(const Host *host, const char *gpu, GpuReport *report, Error *error) {
        MdevParents parents;
        int r;

        mdev_parents_read(host, gpu, &parents);
        for (size_t i = 0; i < parents.n; i++) {
                r = read_parent(host, parents.names[i], report);
                if (r < 0)
                        return error_set_errno(error, r, "the types in mdev_supported_types cannot be read");
        }

        if (report->n_types > 0)
                qsort(report->types, report->n_types, sizeof(TypeReport), compare_types);
        return 0;
}
