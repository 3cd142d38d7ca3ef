/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Backend nvidia-vfio, beside that of the card's driver: NVIDIA's vendor-specific VFIO (vGPU 17 and later, on kernels
 * from 6.8 on, where it has no mdev): a virtual function stays with the driver, and is a vGPU when a type was written to it.
 *
 * Below /sys/bus/pci/devices/FUNCTION/nvidia (vendor-documented, 580; seen in reports, not run here): creatable_vgpu_types,
 * current_vgpu_type (0: none), vgpu_params, and from 570 on placement_id and gpu_instance_id.
 */

#include "backend/backends.h"
#include "backend/claim.h"
#include "backend/device-lock.h"
#include "backend/nvidia-list.h"
#include "backend/nvidia-mixed.h"
#include "backend/passthrough.h"
#include "util/file.h"
#include "util/text.h"

#define PATH_SIZE 256U
#define TYPE_PREFIX "nvidia-"
#define NVIDIA_DRIVER "nvidia"

static void attribute_path(const char *vf, const char *name, char path[static PATH_SIZE]) {
        (void)snprintf(path, PATH_SIZE, "bus/pci/devices/%.63s/nvidia/%.64s", vf, name);
}

/* The type that the function has; 0: none. UNKNOWN_U32: it cannot be read, and nothing may be made of it. */
static uint32_t read_current(const Host *host, const char *vf) {
        char path[PATH_SIZE];
        uint64_t v;

        attribute_path(vf, "current_vgpu_type", path);
        return attribute_read_number(host->sys_fd, path, UNKNOWN_U32 - 1, &v) < 0 ? UNKNOWN_U32 : (uint32_t)v;
}

static void format_id(uint32_t id, char buffer[static TYPE_ID_SIZE]) {
        (void)snprintf(buffer, TYPE_ID_SIZE, TYPE_PREFIX "%u", id);
}

static bool parse_id(const char *type_id, uint32_t *ret_id) {
        const char *number = type_id + strlen(TYPE_PREFIX);
        unsigned long v;
        char *end;

        if (strncmp(type_id, TYPE_PREFIX, strlen(TYPE_PREFIX)) != 0 || *number < '1' || *number > '9')
                return false;

        errno = 0;
        v = strtoul(number, &end, 10);
        *ret_id = (uint32_t)v;
        return errno == 0 && *end == '\0' && v < UNKNOWN_U32;
}

static bool nvidia_owns_type(const char *type_id) {
        uint32_t id;

        return parse_id(type_id, &id);
}

static int nvidia_probe(BackendContext *c, Error *error) {
        PciAddress vfs[PCI_VFS_MAX];
        char path[PATH_SIZE];

        if (pci_read_vfs(c->host, c->gpu, vfs) == 0)
                return 0;

        attribute_path(vfs[0].name, "current_vgpu_type", path);
        return path_exists(c->host->sys_fd, path);
}

static void describe(const Host *host, const char *vf, uint32_t id, VGpuReport *ret_vgpu) {
        char type_id[TYPE_ID_SIZE];

        format_id(id, type_id);
        passthrough_describe(host, vf, type_id, VGPU_VF, ret_vgpu);
}

/* Every function takes one vGPU. How many of a type are left the driver does not say: none if no function lists it, one if
 * one does; several may share what is left for one. */
static uint32_t count_left(const NvidiaListed *type) {
        return type->n_functions <= 1 ? type->n_functions : UNKNOWN_U32;
}

/* The channel of NVIDIA's own, where there is one, knows more of a type; but not where it can be had. */
static TypeReport *find_type(GpuReport *report, const char *id) {
        for (size_t i = 0; i < report->n_types; i++)
                if (streq(report->types[i].id, id))
                        return &report->types[i];

        return NULL;
}

static int add_type(GpuReport *report, const NvidiaListed *t) {
        char id[TYPE_ID_SIZE];
        TypeReport *type;

        format_id(t->id, id);
        type = find_type(report, id);
        if (type) {
                type->kind = VGPU_VF;
                type->available = count_left(t);
                return 0;
        }

        type = gpu_report_add_type(report);
        if (!type)
                return -ENOMEM;

        (void)text_copy(type->id, sizeof(type->id), id);
        (void)text_copy(type->name, sizeof(type->name), t->name[0] != '\0' ? t->name : type->id);
        (void)text_copy(type->device_api, sizeof(type->device_api), "vfio-pci");
        type->vendor_id = t->id;
        type->kind = VGPU_VF;
        type->available = count_left(t);
        type->framebuffer = nvidia_name_parse_framebuffer(t->name);
        type->source = TYPE_SOURCE_DRIVER;
        type->registration = REGISTRATION_REGISTERED;
        return 0;
}

/* Nobody made what it speaks of, or it has gone: whose the function is next is not said by it. One whose maker or remover is
 * still at it is his. */
static void forget_claim(const Host *host, const char *vf) {
        _cleanup_(device_unlock) DeviceLock lock = DEVICE_LOCK_NULL;
        Claim claim;

        if (claim_read(host, vf, &claim) >= 0 && device_lock(host, vf, &lock) >= 0 && read_current(host, vf) == 0)
                claim_remove(host, vf);
}

static int nvidia_read(BackendContext *c, GpuReport *report, Error *error) {
        _cleanup_(freep) NvidiaList *types = malloc(sizeof(NvidiaList));
        PciAddress vfs[PCI_VFS_MAX];
        size_t n_vfs = pci_read_vfs(c->host, c->gpu, vfs);
        int r = types ? 0 : -ENOMEM;

        report->mixed_size = nvidia_mixed_read(c->host, c->gpu);
        if (types)
                nvidia_list_read(c->host, c->gpu, vfs, n_vfs, types);
        for (size_t i = 0; r >= 0 && i < n_vfs; i++) {
                uint32_t id = read_current(c->host, vfs[i].name);
                VGpuReport *vgpu;

                if (id == 0)
                        forget_claim(c->host, vfs[i].name);
                if (id == 0 || id == UNKNOWN_U32)
                        continue;
                (void)nvidia_list_add(types, id);
                vgpu = gpu_report_add_vgpu(report);
                if (vgpu)
                        describe(c->host, vfs[i].name, id, vgpu);
                else
                        r = -ENOMEM;
        }
        for (size_t i = 0; r >= 0 && i < types->n; i++)
                r = add_type(report, &types->items[i]);

        return r < 0 ? error_set_errno(error, r, "the types of its virtual functions cannot be read") : 0;
}

/* The lists of the functions shrink with each vGPU that is made on a sibling: what was read before says nothing. */
static int choose(const BackendContext *c, const char *parent, uint32_t id, PciAddress *ret_vf, Error *error) {
        bool any = *parent == '\0' || streq(parent, c->gpu), found = false;
        PciAddress vfs[PCI_VFS_MAX];
        size_t n_vfs = pci_read_vfs(c->host, c->gpu, vfs);

        for (size_t i = 0; i < n_vfs; i++) {
                if (!any && !streq(vfs[i].name, parent))
                        continue;
                found = true;
                if (read_current(c->host, vfs[i].name) == 0 && nvidia_list_has(c->host, vfs[i].name, id)) {
                        *ret_vf = vfs[i];
                        return 0;
                }
        }

        if (n_vfs == 0 || !found)
                return error_set(error, -ERROR_NO_SUCH_GPU, "%s is no virtual function of GPU %s any more",
                                 any ? "There" : parent, c->gpu);
        return error_set(error, -ERROR_NO_INSTANCES,
                         "No virtual function of GPU %s lists type " TYPE_PREFIX
                         "%u as creatable%s; destroy a vGPU or choose another type",
                         c->gpu, id, any ? "" : " that is free and asked for");
}

static int write_type(const Host *host, const char *vf, uint32_t id) {
        char path[PATH_SIZE], text[16];

        attribute_path(vf, "current_vgpu_type", path);
        (void)snprintf(text, sizeof(text), "%u", id);
        return host->ops->store(host, host->sys_fd, path, text);
}

static int write_claim(const Host *host, const char *vf, const char *type_id, const char *uuid, Error *error) {
        Claim claim = { .n_functions = 1 };
        int r;

        (void)text_copy(claim.uuid, sizeof(claim.uuid), uuid);
        (void)text_copy(claim.type_id, sizeof(claim.type_id), type_id);
        (void)text_copy(claim.functions[0].address, PCI_ADDRESS_SIZE, vf);
        (void)text_copy(claim.functions[0].driver, PCI_DRIVER_SIZE, NVIDIA_DRIVER);
        r = claim_write(host, vf, &claim);
        if (r < 0)
                return error_set(error, -EIO,
                                 "That PCI device %s is ours cannot be written to /run/mdevgpud/claims: %s", vf,
                                 strerrordesc_np(-r) ?: "unknown error");

        return 0;
}

static int nvidia_find(BackendContext *c, const char *uuid, VGpuReport *ret_vgpu, Error *error) {
        PciAddress vfs[PCI_VFS_MAX];
        size_t n_vfs = pci_read_vfs(c->host, c->gpu, vfs);

        for (size_t i = 0; i < n_vfs; i++) {
                uint32_t id = read_current(c->host, vfs[i].name);
                VGpuReport vgpu;

                if (id == 0 || id == UNKNOWN_U32)
                        continue;
                describe(c->host, vfs[i].name, id, &vgpu);
                if (streq(vgpu.uuid, uuid)) {
                        *ret_vgpu = vgpu;
                        return 0;
                }
        }

        return error_set(error, -ERROR_NO_SUCH_VGPU, "vGPU %s is not on GPU %s", uuid, c->gpu);
}

static int nvidia_create(BackendContext *c, const char *parent, const char *type_id, const char *uuid,
                         VGpuReport *ret_vgpu, Error *error) {
        _cleanup_(device_unlock) DeviceLock lock = DEVICE_LOCK_NULL;
        PciAddress vf;
        uint32_t id;
        int r;

        if (!parse_id(type_id, &id))
                return error_set(error, -ERROR_NO_SUCH_TYPE, "GPU %s has no type %s", c->gpu, type_id);
        if (nvidia_find(c, uuid, ret_vgpu, NULL) >= 0)
                return error_set(error, -ERROR_ALREADY_EXISTS, "vGPU %s exists already", uuid);

        r = choose(c, parent, id, &vf, error);
        if (r >= 0) {
                r = device_lock(c->host, vf.name, &lock);
                if (r < 0)
                        r = device_lock_explain(r, vf.name, error);
        }
        if (r >= 0)
                r = write_claim(c->host, vf.name, type_id, uuid, error);
        if (r < 0)
                return r;

        r = write_type(c->host, vf.name, id);
        if (read_current(c->host, vf.name) != id) {
                claim_remove(c->host, vf.name);
                if (r >= 0)
                        return error_set(error, -ERROR_DRIVER_REJECTED,
                                         "The driver accepted type %s for %s, but the type is not there", type_id,
                                         vf.name);
                return error_set(error, -ERROR_DRIVER_REJECTED,
                                 "The driver of GPU %s refused type %s on %s, which had listed it: %s (%s)", c->gpu,
                                 type_id, vf.name, strerrordesc_np(-r) ?: "unknown error", strerrorname_np(-r) ?: "?");
        }

        describe(c->host, vf.name, id, ret_vgpu);
        return 0;
}

static int nvidia_configure(BackendContext *c, const char *uuid, const Attribute *attribute, Error *error) {
        static const char *const known[] = { "vgpu_params", "placement_id", "gpu_instance_id" };
        char path[PATH_SIZE];
        VGpuReport vgpu;
        bool found = false;
        int r;

        r = nvidia_find(c, uuid, &vgpu, error);
        if (r < 0)
                return r;

        for (size_t i = 0; i < ELEMENTSOF(known); i++)
                found = found || streq(attribute->name, known[i]);
        attribute_path(vgpu.parent, attribute->name, path);
        if (!found || !path_exists(c->host->sys_fd, path))
                return error_set(error, -ERROR_NOT_SUPPORTED,
                                 "vGPU %s has no attribute '%s'; NVIDIA's driver knows vgpu_params and, from 570 on, "
                                 "placement_id and gpu_instance_id",
                                 uuid, attribute->name);

        r = c->host->ops->store(c->host, c->host->sys_fd, path, attribute->value);
        if (r < 0)
                return error_set(error, -ERROR_DRIVER_REJECTED,
                                 "The driver refused '%.128s' for attribute '%s' of vGPU %s: %s (%s)", attribute->value,
                                 attribute->name, uuid, strerrordesc_np(-r) ?: "unknown error",
                                 strerrorname_np(-r) ?: "?");
        return 0;
}

static int nvidia_remove(BackendContext *c, const char *uuid, Error *error) {
        _cleanup_(device_unlock) DeviceLock lock = DEVICE_LOCK_NULL;
        VGpuReport vgpu;
        int r;

        r = nvidia_find(c, uuid, &vgpu, error);
        if (r < 0)
                return r;
        r = device_lock(c->host, vgpu.parent, &lock);
        if (r < 0)
                return device_lock_explain(r, vgpu.parent, error);

        r = write_type(c->host, vgpu.parent, 0);
        if (read_current(c->host, vgpu.parent) == 0) {
                claim_remove(c->host, vgpu.parent);
                return 0;
        }
        if (r == -EBUSY)
                return error_set(error, -ERROR_IN_USE, "vGPU %s is in use, its driver says", uuid);
        if (r >= 0)
                return error_set(error, -ERROR_DRIVER_REJECTED,
                                 "The driver accepted the removal of vGPU %s, but the vGPU is still there", uuid);
        return error_set(error, -ERROR_DRIVER_REJECTED, "The driver refused to remove vGPU %s: %s (%s)", uuid,
                         strerrordesc_np(-r) ?: "unknown error", strerrorname_np(-r) ?: "?");
}

static int nvidia_set_mixed(BackendContext *c, bool on, Error *error) {
        return nvidia_mixed_set(c->host, c->gpu, on, error);
}

static int nvidia_read_counts(BackendContext *c, TypeCount **ret_counts, size_t *ret_n_counts, Error *error) {
        _cleanup_(freep) NvidiaList *types = malloc(sizeof(NvidiaList));
        _cleanup_(freep) TypeCount *counts = NULL;
        PciAddress vfs[PCI_VFS_MAX];

        if (types)
                nvidia_list_read(c->host, c->gpu, vfs, pci_read_vfs(c->host, c->gpu, vfs), types);
        counts = types ? calloc(MAX(types->n, 1U), sizeof(TypeCount)) : NULL;
        if (!types || !counts)
                return error_set_errno(error, -ENOMEM, "the types' counts cannot be read");

        for (size_t i = 0; i < types->n; i++) {
                format_id(types->items[i].id, counts[i].id);
                counts[i].available = count_left(&types->items[i]);
        }
        *ret_counts = TAKE(counts);
        *ret_n_counts = types->n;
        return 0;
}

const Backend backend_nvidia_vfio = {
        .name = "nvidia-vfio",
        .owns_type = nvidia_owns_type,
        .probe = nvidia_probe,
        .read = nvidia_read,
        .create = nvidia_create,
        .find = nvidia_find,
        .configure = nvidia_configure,
        .remove = nvidia_remove,
        .set_mixed = nvidia_set_mixed,
        .read_counts = nvidia_read_counts,
};
