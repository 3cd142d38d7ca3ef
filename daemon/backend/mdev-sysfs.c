/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "backend/description.h"
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

static uint32_t add_counts(uint32_t a, uint32_t b) {
        if (a == UNKNOWN_U32 || b == UNKNOWN_U32)
                return UNKNOWN_U32;

        return a > UNKNOWN_U32 - 1 - b ? UNKNOWN_U32 - 1 : a + b;
}

static void read_type(int types_fd, const char *id, TypeReport *type) {
        char path[SYSFS_NAME_SIZE + 32];

        (void)text_copy(type->id, sizeof(type->id), id);
        (void)snprintf(path, sizeof(path), "%s/name", id);
        attribute_read_text(types_fd, path, type->name, sizeof(type->name));
        (void)snprintf(path, sizeof(path), "%s/device_api", id);
        attribute_read_text(types_fd, path, type->device_api, sizeof(type->device_api));
        (void)snprintf(path, sizeof(path), "%s/description", id);
        attribute_read_text(types_fd, path, type->description, sizeof(type->description));
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

static void read_vgpu(const Host *host, const char *parent, const char *type_id, const char *uuid, VGpuReport *vgpu) {
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
                read_vgpu(host, parent, type_id, uuid, vgpu);
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
                        type->available = add_counts(type->available, read_available(dirfd(dir), entry->d_name));
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

static int compare_counts(const void *a, const void *b) {
        const TypeCount *x = a, *y = b;

        return strverscmp(x->id, y->id);
}

int mdev_sysfs_read_counts(const Host *host, const char *gpu, TypeCount **ret_counts, size_t *ret_n_counts,
                           Error *error) {
        _cleanup_(freep) TypeCount *counts = NULL;
        MdevParents parents;
        size_t n = 0;

        counts = calloc(REPORT_TYPES_MAX, sizeof(TypeCount));
        if (!counts)
                return error_set_errno(error, -ENOMEM, "the types' counts cannot be read");

        mdev_parents_read(host, gpu, &parents);
        for (size_t i = 0; i < parents.n; i++) {
                _cleanup_(dir_closep) DIR *dir = NULL;
                char path[PATH_SIZE];
                struct dirent *entry;

                (void)snprintf(path, sizeof(path), "class/mdev_bus/%s/mdev_supported_types", parents.names[i]);
                if (directory_list(host->sys_fd, path, &dir) < 0)
                        continue;

                while ((entry = directory_next(dir))) {
                        size_t k;

                        if (!text_is_name(entry->d_name) || strlen(entry->d_name) >= TYPE_ID_SIZE)
                                continue;
                        for (k = 0; k < n && !streq(counts[k].id, entry->d_name); k++)
                                ;
                        if (k == REPORT_TYPES_MAX)
                                break;
                        if (k == n)
                                (void)text_copy(counts[n++].id, TYPE_ID_SIZE, entry->d_name);
                        counts[k].available = add_counts(counts[k].available, read_available(dirfd(dir), entry->d_name));
                }
        }

        qsort(counts, n, sizeof(TypeCount), compare_counts);
        *ret_counts = TAKE(counts);
        *ret_n_counts = n;
        return 0;
}

/* What the kernel's refusal means (kernel 6.12, drivers/vfio/mdev, and the vendors' probes as observed). */
static int explain_create(int code, const char *gpu, const char *type_id, const char *uuid, uint32_t available,
                          Error *error) {
        switch (-code) {
        case EEXIST:
                return error_set(error, -ERROR_ALREADY_EXISTS,
                                 "UUID %s is in use on some parent, perhaps by a device that is still being removed", uuid);
        case ENODEV:
                return error_set(error, -ERROR_NO_SUCH_GPU, "GPU %s is going: its driver is being unbound or unloaded",
                                 gpu);
        case ENOENT:
                return error_set(error, -ERROR_NO_SUCH_TYPE, "GPU %s no longer has the type %s", gpu, type_id);
        case ENOMEM:
                return error_set_errno(error, code, "the kernel could not create the vGPU");
        case ENOSPC:
        case EUSERS:
                available = 0;
                break;
        default:
                break;
        }

        /* GVT-g says ENOSPC, old vfio-ccw EPERM, NVIDIA EINVAL when nothing is left. */
        if (available == 0)
                return error_set(error, -ERROR_NO_INSTANCES,
                                 "GPU %s has no instance of type %s left; destroy a vGPU or choose another type", gpu,
                                 type_id);

        return error_set(error, -ERROR_DRIVER_REJECTED,
                         "The driver of GPU %s refused to create a vGPU of type %s: %s (%s)", gpu, type_id,
                         strerrordesc_np(-code) ?: "unknown error", strerrorname_np(-code) ?: "?");
}

/* The write has returned: the device is there if its type link says so, and only then. */
static int prove_created(const Host *host, const char *parent, const char *type_id, const char *uuid,
                         VGpuReport *ret_vgpu, Error *error) {
        char path[PATH_SIZE], type[SYSFS_NAME_SIZE];
        int r;

        (void)snprintf(path, sizeof(path), "bus/mdev/devices/%s/mdev_type", uuid);
        r = link_read_basename(host->sys_fd, path, type, sizeof(type));
        if (r < 0 || !streq(type, type_id))
                return error_set(error, -ERROR_DRIVER_REJECTED,
                                 "The driver accepted the creation of vGPU %s, but the device is not there", uuid);

        *ret_vgpu = (VGpuReport){};
        read_vgpu(host, parent, type_id, uuid, ret_vgpu);
        return 0;
}

static int create_on(const Host *host, const char *parent, const char *type_id, const char *uuid) {
        char path[PATH_SIZE];

        (void)snprintf(path, sizeof(path), "class/mdev_bus/%s/mdev_supported_types/%s/create", parent, type_id);
        return host->ops->store(host, host->sys_fd, path, uuid);
}

static uint32_t read_parent_available(const Host *host, const char *parent, const char *type_id) {
        _cleanup_(fd_closep) int fd = -EBADF;
        char path[PATH_SIZE];

        (void)snprintf(path, sizeof(path), "class/mdev_bus/%s/mdev_supported_types", parent);
        fd = directory_open(host->sys_fd, path);
        return fd < 0 ? UNKNOWN_U32 : read_available(fd, type_id);
}

/* 1: made; 0: another parent may do; negative: none will. *ret_code is what the kernel said. */
static int try_parent(const Host *host, const char *parent, const char *type_id, const char *uuid, int *ret_code,
                      uint32_t *ret_available) {
        int r;

        *ret_code = r = create_on(host, parent, type_id, uuid);
        if (r >= 0)
                return 1;
        if (r == -EEXIST || r == -ENOMEM)
                return r;

        *ret_available = read_parent_available(host, parent, type_id);
        return *ret_available == 0 || r == -ENOSPC || r == -EUSERS || r == -ENOENT ? 0 : r;
}

int mdev_sysfs_create(const Host *host, const char *gpu, const char *type_id, const char *uuid, VGpuReport *ret_vgpu,
                      Error *error) {
        uint32_t available = 0;
        MdevParents parents;
        int r = 0, code = -ENOENT;

        mdev_parents_read(host, gpu, &parents);
        if (parents.n == 0)
                return error_set(error, -ERROR_NO_SUCH_GPU, "GPU %s is no mdev parent any more", gpu);

        /* First where something is left. The count is only a hint: the driver's answer decides, so ask the others too. */
        for (unsigned pass = 0; pass < 2; pass++)
                for (size_t i = 0; r == 0 && i < parents.n; i++) {
                        const char *parent = parents.names[i];
                        bool full = parents.n > 1 && read_parent_available(host, parent, type_id) == 0;

                        if (full != (pass == 1))
                                continue;

                        r = try_parent(host, parent, type_id, uuid, &code, &available);
                        if (r > 0)
                                return prove_created(host, parent, type_id, uuid, ret_vgpu, error);
                }

        return explain_create(code, gpu, type_id, uuid, available, error);
}

static int explain_remove(int code, const char *uuid, Error *error) {
        switch (-code) {
        case ENOENT:
        case ENODEV:
                return error_set(error, -ERROR_NO_SUCH_VGPU, "vGPU %s has gone already", uuid);
        case EAGAIN:
                return error_set(error, -ERROR_BUSY, "vGPU %s is being created or removed by somebody else", uuid);
        case EBUSY: /* kernels before 5.2 */
                return error_set(error, -ERROR_IN_USE, "vGPU %s is in use, its driver says", uuid);
        default:
                return error_set(error, -ERROR_DRIVER_REJECTED, "The driver refused to remove vGPU %s: %s (%s)", uuid,
                                 strerrordesc_np(-code) ?: "unknown error", strerrorname_np(-code) ?: "?");
        }
}

int mdev_sysfs_remove(const Host *host, const char *gpu, const char *uuid, Error *error) {
        char path[PATH_SIZE];
        int r;

        (void)snprintf(path, sizeof(path), "bus/mdev/devices/%s", uuid);
        if (!mdev_parents_hold(host, gpu, path))
                return error_set(error, -ERROR_NO_SUCH_VGPU, "vGPU %s is not on GPU %s any more", uuid, gpu);

        (void)snprintf(path, sizeof(path), "bus/mdev/devices/%s/remove", uuid);
        r = host->ops->store(host, host->sys_fd, path, "1");
        if (r < 0)
                return explain_remove(r, uuid, error);

        (void)snprintf(path, sizeof(path), "bus/mdev/devices/%s", uuid);
        if (mdev_parents_hold(host, gpu, path))
                return error_set(error, -ERROR_DRIVER_REJECTED,
                                 "The driver accepted the removal of vGPU %s, but the device is still there", uuid);

        return 0;
}
