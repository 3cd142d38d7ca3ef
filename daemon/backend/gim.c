/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Backend gim: AMD's GIM driver (amd/MxGPU-Virtualization, outside of the kernel's tree; its documentation, 8.x to 9.x). How
 * many virtual functions a card has, and how it is divided among them, is settled when the driver is loaded: there is
 * nothing that could be set here. The functions are handed over as they are.
 */

#include "backend/backends.h"
#include "backend/gim.h"
#include "backend/vf.h"
#include "core/scan.h"
#include "util/text.h"

bool gim_is_driver(const char *driver) {
        return streq(driver, "gim");
}

static int gim_probe(BackendContext *c, Error *error) {
        char driver[PCI_DRIVER_SIZE];

        pci_read_driver(c->host, c->gpu, driver);
        return gim_is_driver(driver) && scan_class_is_display(pci_read_number(c->host, c->gpu, "class", 0)) &&
               pci_read_number(c->host, c->gpu, "sriov_totalvfs", 0) > 0;
}

static int gim_read(BackendContext *c, GpuReport *report, Error *error) {
        uint32_t n = pci_read_number(c->host, c->gpu, "sriov_numvfs", 0);
        TypeReport *type;
        int r;

        vf_recover(c->host, c->gpu, NULL);
        r = vf_read(c->host, c->gpu, report, error);
        if (r < 0)
                return r;

        type = &report->types[report->n_types - 1];
        type->max_instances = n;
        (void)snprintf(type->description, sizeof(type->description),
                       "One of the %u virtual functions that AMD's GIM driver made when it was loaded", n);
        if (n == 0)
                (void)text_copy(type->reason, sizeof(type->reason),
                                "AMD's GIM driver has made no virtual functions; how many it makes is set when it is "
                                "loaded");
        return 0;
}

static int gim_create(BackendContext *c, const char *parent, const char *type_id, const char *uuid,
                      VGpuReport *ret_vgpu, Error *error) {
        if (!streq(type_id, TYPE_ID_VF))
                return error_set(error, -ERROR_NO_SUCH_TYPE, "GPU %s has no type %s", c->gpu, type_id);

        return vf_create(c->host, c->gpu, parent, PCI_VFIO_DRIVER, TYPE_ID_VF, uuid, NULL, ret_vgpu, error);
}

static int gim_find(BackendContext *c, const char *uuid, VGpuReport *ret_vgpu, Error *error) {
        return vf_find(c->host, c->gpu, uuid, ret_vgpu, NULL, error);
}

static int gim_configure(BackendContext *c, const char *uuid, const Attribute *attribute, Error *error) {
        return error_set(
                error, -ERROR_NOT_SUPPORTED,
                "vGPU %s is a virtual function of AMD's GIM driver, of which nothing can be set: no attribute '%s'",
                uuid, attribute->name);
}

static int gim_remove(BackendContext *c, const char *uuid, Error *error) {
        return vf_remove(c->host, c->gpu, uuid, NULL, error);
}

static int gim_read_counts(BackendContext *c, TypeCount **ret_counts, size_t *ret_n_counts, Error *error) {
        return vf_read_counts(c->host, c->gpu, ret_counts, ret_n_counts, error);
}

const Backend backend_gim = {
        .name = "gim",
        .probe = gim_probe,
        .read = gim_read,
        .create = gim_create,
        .find = gim_find,
        .configure = gim_configure,
        .remove = gim_remove,
        .read_counts = gim_read_counts,
};
