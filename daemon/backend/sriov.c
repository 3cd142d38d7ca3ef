/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Backend sriov: a display controller with virtual functions, of whose provisioning we know nothing: each is handed over
 * as its driver made it.
 */

#include "backend/backends.h"
#include "backend/vf.h"
#include "core/scan.h"
#include "util/text.h"

/* NVIDIA's functions must stay with its own driver (vendor-documented, vGPU 17 and later): handed over bare they are of
 * no use. */
static int sriov_probe(BackendContext *c, Error *error) {
        char driver[PCI_DRIVER_SIZE];

        pci_read_driver(c->host, c->gpu, driver);
        return scan_class_is_display(pci_read_number(c->host, c->gpu, "class", 0)) && driver[0] != '\0' &&
               !streq(driver, "nvidia") && !pci_driver_is_vfio(driver) &&
               pci_read_number(c->host, c->gpu, "sriov_totalvfs", 0) > 0;
}

static int sriov_read(BackendContext *c, GpuReport *report, Error *error) {
        vf_recover(c->host, c->gpu, NULL);
        return vf_read(c->host, c->gpu, report, error);
}

static int sriov_create(BackendContext *c, const char *parent, const char *type_id, const char *uuid,
                        VGpuReport *ret_vgpu, Error *error) {
        if (!streq(type_id, TYPE_ID_VF))
                return error_set(error, -ERROR_NO_SUCH_TYPE, "GPU %s has no type %s", c->gpu, type_id);

        return vf_create(c->host, c->gpu, parent, PCI_VFIO_DRIVER, TYPE_ID_VF, uuid, NULL, ret_vgpu, error);
}

static int sriov_find(BackendContext *c, const char *uuid, VGpuReport *ret_vgpu, Error *error) {
        return vf_find(c->host, c->gpu, uuid, ret_vgpu, NULL, error);
}

static int sriov_configure(BackendContext *c, const char *uuid, const Attribute *attribute, Error *error) {
        return error_set(error, -ERROR_NOT_SUPPORTED, "vGPU %s is a virtual function and has no attribute '%s'", uuid,
                         attribute->name);
}

static int sriov_remove(BackendContext *c, const char *uuid, Error *error) {
        return vf_remove(c->host, c->gpu, uuid, NULL, error);
}

static int sriov_read_counts(BackendContext *c, TypeCount **ret_counts, size_t *ret_n_counts, Error *error) {
        return vf_read_counts(c->host, c->gpu, ret_counts, ret_n_counts, error);
}

const Backend backend_sriov = {
        .name = "sriov",
        .probe = sriov_probe,
        .read = sriov_read,
        .create = sriov_create,
        .find = sriov_find,
        .configure = sriov_configure,
        .remove = sriov_remove,
        .read_counts = sriov_read_counts,
};
