/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Making, finding, configuring and removing mediated devices. */

#include <fcntl.h>
#include <sys/stat.h>

#include "backend/mdev-parents.h"
#include "backend/mdev-sysfs.h"
#include "util/file.h"
#include "util/text.h"

#define PATH_SIZE 1024U

/* What the kernel's refusal means (kernel 6.12, drivers/vfio/mdev, and the vendors' probes as observed). */
static int explain_create(int code, const char *gpu, const char *type_id, const char *uuid, uint32_t available,
                          Error *error) {
        switch (-code) {
        case EEXIST:
                return error_set(error, -ERROR_ALREADY_EXISTS,
                                 "UUID %s is in use on some parent, perhaps by a device that is still being removed",
                                 uuid);
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

        mdev_sysfs_describe(host, parent, type_id, uuid, ret_vgpu);
        return 0;
}

static int create_on(const Host *host, const char *parent, const char *type_id, const char *uuid) {
        char path[PATH_SIZE];

        (void)snprintf(path, sizeof(path), "class/mdev_bus/%s/mdev_supported_types/%s/create", parent, type_id);
        return host->ops->store(host, host->sys_fd, path, uuid);
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

        *ret_available = mdev_sysfs_read_available(host, parent, type_id);
        return *ret_available == 0 || r == -ENOSPC || r == -EUSERS || r == -ENOENT ? 0 : r;
}

/* The GPU's parents, or the one that is asked for. */
static int choose_parents(const Host *host, const char *gpu, const char *parent, MdevParents *ret_parents,
                          Error *error) {
        mdev_parents_read(host, gpu, ret_parents);
        if (ret_parents->n == 0)
                return error_set(error, -ERROR_NO_SUCH_GPU, "GPU %s is no mdev parent any more", gpu);
        if (*parent == '\0')
                return 0;

        for (size_t i = 0; i < ret_parents->n; i++)
                if (streq(ret_parents->names[i], parent)) {
                        memmove(ret_parents->names[0], ret_parents->names[i], sizeof(ret_parents->names[0]));
                        ret_parents->n = 1;
                        return 0;
                }

        return error_set(error, -ERROR_NO_SUCH_GPU, "%s is no mdev parent of GPU %s any more", parent, gpu);
}

int mdev_sysfs_create(const Host *host, const char *gpu, const char *parent, const char *type_id, const char *uuid,
                      VGpuReport *ret_vgpu, Error *error) {
        uint32_t available = 0;
        MdevParents parents;
        int r, code = -ENOENT;

        r = choose_parents(host, gpu, parent, &parents, error);
        if (r < 0)
                return r;

        /* First where something is left. The count is only a hint: the driver's answer decides, so ask the others too. */
        for (unsigned pass = 0; pass < 2; pass++)
                for (size_t i = 0; r == 0 && i < parents.n; i++) {
                        const char *name = parents.names[i];
                        bool full = parents.n > 1 && mdev_sysfs_read_available(host, name, type_id) == 0;

                        if (full != (pass == 1))
                                continue;

                        r = try_parent(host, name, type_id, uuid, &code, &available);
                        if (r > 0)
                                return prove_created(host, name, type_id, uuid, ret_vgpu, error);
                }

        return explain_create(code, gpu, type_id, uuid, available, error);
}

int mdev_sysfs_find(const Host *host, const char *gpu, const char *uuid, VGpuReport *ret_vgpu, Error *error) {
        char path[PATH_SIZE], parent[SYSFS_NAME_SIZE], type[SYSFS_NAME_SIZE];

        (void)snprintf(path, sizeof(path), "bus/mdev/devices/%s", uuid);
        if (!mdev_parents_find(host, gpu, path, parent))
                return error_set(error, -ERROR_NO_SUCH_VGPU, "vGPU %s is not on GPU %s", uuid, gpu);

        (void)snprintf(path, sizeof(path), "bus/mdev/devices/%s/mdev_type", uuid);
        if (link_read_basename(host->sys_fd, path, type, sizeof(type)) < 0 || strlen(type) >= TYPE_ID_SIZE)
                return error_set(error, -ERROR_NO_SUCH_VGPU, "vGPU %s is not complete", uuid);

        mdev_sysfs_describe(host, parent, type, uuid, ret_vgpu);
        return 0;
}

/* What leads out of the device's folder (its driver, its type, the bus) is no attribute of it. */
static bool leaves_folder(const Host *host, const char *uuid, const char *name) {
        char path[PATH_SIZE];

        for (const char *slash = strchr(name, '/'); slash; slash = strchr(slash + 1, '/')) {
                struct stat st;

                (void)snprintf(path, sizeof(path), "bus/mdev/devices/%s/%.*s", uuid, (int)(slash - name), name);
                if (fstatat(host->sys_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
                        return true;
        }

        return false;
}

static int explain_configure(int code, const char *uuid, const Attribute *a, Error *error) {
        switch (-code) {
        case ENOENT:
                return error_set(error, -ERROR_NOT_SUPPORTED, "vGPU %s has no attribute '%s'", uuid, a->name);
        case EACCES:
        case EPERM:
                return error_set(error, -ERROR_NOT_SUPPORTED, "Attribute '%s' of vGPU %s cannot be written", a->name,
                                 uuid);
        default:
                return error_set(error, -ERROR_DRIVER_REJECTED,
                                 "The driver refused '%.128s' for attribute '%s' of vGPU %s: %s (%s)", a->value,
                                 a->name, uuid, strerrordesc_np(-code) ?: "unknown error",
                                 strerrorname_np(-code) ?: "?");
        }
}

int mdev_sysfs_configure(const Host *host, const char *gpu, const char *uuid, const Attribute *attribute,
                         Error *error) {
        char path[PATH_SIZE], parent[SYSFS_NAME_SIZE];
        int r;

        (void)snprintf(path, sizeof(path), "bus/mdev/devices/%s", uuid);
        if (!mdev_parents_find(host, gpu, path, parent))
                return error_set(error, -ERROR_NO_SUCH_VGPU, "vGPU %s is not on GPU %s any more", uuid, gpu);
        if (leaves_folder(host, uuid, attribute->name))
                return explain_configure(-ENOENT, uuid, attribute, error);

        (void)snprintf(path, sizeof(path), "bus/mdev/devices/%s/%s", uuid, attribute->name);
        r = host->ops->store(host, host->sys_fd, path, attribute->value);
        return r < 0 ? explain_configure(r, uuid, attribute, error) : 0;
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
        char path[PATH_SIZE], parent[SYSFS_NAME_SIZE];
        int r;

        (void)snprintf(path, sizeof(path), "bus/mdev/devices/%s", uuid);
        if (!mdev_parents_find(host, gpu, path, parent))
                return error_set(error, -ERROR_NO_SUCH_VGPU, "vGPU %s is not on GPU %s any more", uuid, gpu);

        (void)snprintf(path, sizeof(path), "bus/mdev/devices/%s/remove", uuid);
        r = host->ops->store(host, host->sys_fd, path, "1");
        if (r < 0)
                return explain_remove(r, uuid, error);

        (void)snprintf(path, sizeof(path), "bus/mdev/devices/%s", uuid);
        if (mdev_parents_find(host, gpu, path, parent))
                return error_set(error, -ERROR_DRIVER_REJECTED,
                                 "The driver accepted the removal of vGPU %s, but the device is still there", uuid);

        return 0;
}
