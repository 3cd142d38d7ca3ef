/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Backend xe: Intel's xe provisions virtual functions through sriov_admin (kernel 6.19; the quota of video memory since
 * 7.0; Documentation/ABI/testing/sysfs-driver-intel-xe-sriov). What can be set of a function is an attribute of the vGPU
 * that it is.
 */

#include "backend/backends.h"
#include "backend/vf.h"
#include "util/file.h"
#include "util/log.h"
#include "util/text.h"

#define PATH_SIZE 512U
/* The variant that can migrate (kernel 6.19); where it is not there vfio-pci does. */
#define XE_VFIO_DRIVER "xe-vfio-pci"

static int xe_probe(BackendContext *c, Error *error) {
        char path[PATH_SIZE];

        (void)snprintf(path, sizeof(path), "bus/pci/devices/%.63s/sriov_admin", c->gpu);
        return path_exists(c->host->sys_fd, path);
}

static int xe_read(BackendContext *c, GpuReport *report, Error *error) {
        return vf_read(c->host, c->gpu, report, error);
}

static int xe_create(BackendContext *c, const char *parent, const char *type_id, const char *uuid, VGpuReport *ret_vgpu,
                     Error *error) {
        const char *driver = pci_driver_is_loaded(c->host, XE_VFIO_DRIVER) ? XE_VFIO_DRIVER : PCI_VFIO_DRIVER;

        if (!streq(type_id, TYPE_ID_VF))
                return error_set(error, -ERROR_NO_SUCH_TYPE, "GPU %s has no type %s", c->gpu, type_id);

        return vf_create(c->host, c->gpu, parent, driver, uuid, ret_vgpu, error);
}

static int xe_find(BackendContext *c, const char *uuid, VGpuReport *ret_vgpu, Error *error) {
        return vf_find(c->host, c->gpu, uuid, ret_vgpu, NULL, error);
}

static int explain_configure(int code, const char *uuid, const Attribute *a, Error *error) {
        return error_set(error, -ERROR_DRIVER_REJECTED,
                         "The driver refused '%.128s' for attribute '%s' of vGPU %s: %s (%s)", a->value, a->name, uuid,
                         strerrordesc_np(-code) ?: "unknown error", strerrorname_np(-code) ?: "?");
}

static int xe_configure(BackendContext *c, const char *uuid, const Attribute *attribute, Error *error) {
        static const char *const known[] = { "exec_quantum_ms", "preempt_timeout_us", "sched_priority", "vram_quota" };
        char path[PATH_SIZE];
        VGpuReport vgpu;
        unsigned number;
        bool found = false;
        int r;

        r = vf_find(c->host, c->gpu, uuid, &vgpu, &number, error);
        if (r < 0)
                return r;

        for (size_t i = 0; i < ELEMENTSOF(known); i++)
                found = found || streq(attribute->name, known[i]);
        (void)snprintf(path, sizeof(path), "bus/pci/devices/%.63s/sriov_admin/vf%u/profile/%.64s", c->gpu, number,
                       attribute->name);
        if (!found || !path_exists(c->host->sys_fd, path))
                return error_set(error, -ERROR_NOT_SUPPORTED,
                                 "vGPU %s has no attribute '%s'; xe knows exec_quantum_ms, preempt_timeout_us, "
                                 "sched_priority and, since kernel 7.0, vram_quota",
                                 uuid, attribute->name);

        r = c->host->ops->store(c->host, c->host->sys_fd, path, attribute->value);
        return r < 0 ? explain_configure(r, uuid, attribute, error) : 0;
}

/* The next vGPU on this function must not inherit how this one was scheduled: what xe begins with (kernel 6.19). */
static void reset_profile(const BackendContext *c, unsigned number) {
        static const char *const defaults[][2] = {
                { "exec_quantum_ms", "0" },
                { "preempt_timeout_us", "0" },
                { "sched_priority", "low" },
        };

        for (size_t i = 0; i < ELEMENTSOF(defaults); i++) {
                char path[PATH_SIZE];
                int r;

                (void)snprintf(path, sizeof(path), "bus/pci/devices/%.63s/sriov_admin/vf%u/profile/%s", c->gpu, number,
                               defaults[i][0]);
                r = c->host->ops->store(c->host, c->host->sys_fd, path, defaults[i][1]);
                if (r < 0)
                        log_debug("GPU %s: %s of function %u keeps its value: %s", c->gpu, defaults[i][0], number,
                                  strerror(-r));
        }
}

static int xe_remove(BackendContext *c, const char *uuid, Error *error) {
        VGpuReport vgpu;
        unsigned number;
        int r;

        r = vf_find(c->host, c->gpu, uuid, &vgpu, &number, error);
        if (r >= 0)
                r = passthrough_give_back(c->host, vgpu.parent, error);
        if (r >= 0)
                reset_profile(c, number);
        return r;
}

static int xe_read_counts(BackendContext *c, TypeCount **ret_counts, size_t *ret_n_counts, Error *error) {
        return vf_read_counts(c->host, c->gpu, ret_counts, ret_n_counts, error);
}

const Backend backend_xe = {
        .name = "xe",
        .probe = xe_probe,
        .read = xe_read,
        .create = xe_create,
        .find = xe_find,
        .configure = xe_configure,
        .remove = xe_remove,
        .read_counts = xe_read_counts,
};
