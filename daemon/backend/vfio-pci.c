/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Backend vfio-pci: a display controller as a whole, with the other functions of its card, handed to vfio-pci. It stands
 * beside the backend of the card's driver, and needs none.
 */

#include "backend/backends.h"
#include "backend/card.h"
#include "backend/passthrough.h"
#include "core/scan.h"
#include "util/text.h"

static int vfio_pci_probe(BackendContext *c, Error *error) {
        return scan_class_is_display(pci_read_number(c->host, c->gpu, "class", 0)) && !pci_is_vf(c->host, c->gpu) &&
               pci_read_group(c->host, c->gpu) >= 0;
}

static bool vfio_pci_owns_type(const char *type_id) {
        return streq(type_id, TYPE_ID_WHOLE);
}

static uint32_t count_available(const Card *card, bool taken) {
        return !taken && card->code == 0 ? 1 : 0;
}

static int vfio_pci_read(BackendContext *c, GpuReport *report, Error *error) {
        VGpuReport vgpu, *slot;
        TypeReport *type;
        bool taken;
        Card card;

        passthrough_recover(c->host, c->gpu, NULL);
        taken = passthrough_read(c->host, c->gpu, TYPE_ID_WHOLE, VGPU_WHOLE, &vgpu) > 0;
        slot = taken ? gpu_report_add_vgpu(report) : NULL;
        type = gpu_report_add_type(report);
        if (!type || (taken && !slot))
                return error_set_errno(error, -ENOMEM, "the card cannot be described");
        if (taken)
                *slot = vgpu;

        card_judge(c->host, c->gpu, &card);
        (void)text_copy(type->id, sizeof(type->id), TYPE_ID_WHOLE);
        (void)text_copy(type->name, sizeof(type->name), "Whole card");
        (void)text_copy(type->device_api, sizeof(type->device_api), "vfio-pci");
        card_describe(c->host, &card, type->description, sizeof(type->description));
        type->kind = VGPU_WHOLE;
        type->max_instances = 1;
        type->available = count_available(&card, taken);
        type->source = TYPE_SOURCE_DRIVER;
        type->registration = REGISTRATION_REGISTERED;
        if (!taken)
                (void)text_copy(type->reason, sizeof(type->reason), card.reason);
        return 0;
}

/* What its driver has made of it must be gone first. The driver's channel is closed, which could keep it from leaving. */
static int leave_driver(BackendContext *c, Error *error) {
        GpuReport report;
        size_t n_vgpus;
        int r;

        if (!c->backend)
                return 0;

        gpu_report_init(&report);
        r = c->backend->read(c, &report, error);
        n_vgpus = report.n_vgpus;
        gpu_report_done(&report);
        if (r < 0)
                return r;
        if (n_vgpus > 0)
                return error_set(error, -ERROR_BUSY, "GPU %s is divided into vGPUs, %zu of them; destroy these first",
                                 c->gpu, n_vgpus);

        if (c->backend->close)
                c->backend->close(c);
        c->backend = NULL;
        return 0;
}

static int judge(BackendContext *c, Card *ret_card, Error *error) {
        card_judge(c->host, c->gpu, ret_card);
        if (ret_card->code == 0 || (ret_card->display && c->take_display))
                return 0;

        return error_set(error, ret_card->code, "GPU %s cannot be handed over whole: %s%s", c->gpu, ret_card->reason,
                         ret_card->display ? "; the option 'take-display' takes it nevertheless" : "");
}

static int vfio_pci_create(BackendContext *c, const char *parent, const char *type_id, const char *uuid,
                           VGpuReport *ret_vgpu, Error *error) {
        Card card;
        int r;

        if (!pci_exists(c->host, c->gpu) || (*parent != '\0' && !streq(parent, c->gpu)))
                return error_set(error, -ERROR_NO_SUCH_GPU, "%s is not there any more, or is no whole card",
                                 *parent != '\0' ? parent : c->gpu);
        if (passthrough_read(c->host, c->gpu, TYPE_ID_WHOLE, VGPU_WHOLE, ret_vgpu) > 0) {
                if (streq(ret_vgpu->uuid, uuid))
                        return error_set(error, -ERROR_ALREADY_EXISTS, "vGPU %s exists already", uuid);
                return error_set(error, -ERROR_NO_INSTANCES, "GPU %s is handed over whole already, as vGPU %s", c->gpu,
                                 ret_vgpu->uuid);
        }

        r = judge(c, &card, error);
        if (r >= 0)
                r = leave_driver(c, error);
        for (size_t i = 0; r >= 0 && i < card.n_functions; i++)
                r = card_check_users(c->host, card.functions[i].name, error);
        if (r >= 0)
                r = passthrough_take(c->host, card.functions, card.n_functions, PCI_VFIO_DRIVER, type_id, uuid, NULL,
                                     error);
        if (r < 0)
                return r;

        passthrough_describe(c->host, c->gpu, type_id, VGPU_WHOLE, ret_vgpu);
        return 0;
}

static int vfio_pci_find(BackendContext *c, const char *uuid, VGpuReport *ret_vgpu, Error *error) {
        VGpuReport vgpu;

        if (passthrough_read(c->host, c->gpu, TYPE_ID_WHOLE, VGPU_WHOLE, &vgpu) <= 0 || !streq(vgpu.uuid, uuid))
                return error_set(error, -ERROR_NO_SUCH_VGPU, "vGPU %s is not on GPU %s", uuid, c->gpu);

        *ret_vgpu = vgpu;
        return 0;
}

static int vfio_pci_configure(BackendContext *c, const char *uuid, const Attribute *attribute, Error *error) {
        return error_set(error, -ERROR_NOT_SUPPORTED, "vGPU %s is a whole card and has no attribute '%s'", uuid,
                         attribute->name);
}

static int vfio_pci_remove(BackendContext *c, const char *uuid, Error *error) {
        VGpuReport vgpu;
        int r;

        r = vfio_pci_find(c, uuid, &vgpu, error);
        return r < 0 ? r : passthrough_give_back(c->host, c->gpu, NULL, error);
}

static int vfio_pci_read_counts(BackendContext *c, TypeCount **ret_counts, size_t *ret_n_counts, Error *error) {
        TypeCount *count;
        VGpuReport vgpu;
        Card card;

        count = calloc(1, sizeof(TypeCount));
        if (!count)
                return error_set_errno(error, -ENOMEM, "the types' counts cannot be read");

        card_judge(c->host, c->gpu, &card);
        (void)text_copy(count->id, sizeof(count->id), TYPE_ID_WHOLE);
        count->available =
                count_available(&card, passthrough_read(c->host, c->gpu, TYPE_ID_WHOLE, VGPU_WHOLE, &vgpu) > 0);
        *ret_counts = count;
        *ret_n_counts = 1;
        return 0;
}

const Backend backend_vfio_pci = {
        .name = "vfio-pci",
        .owns_type = vfio_pci_owns_type,
        .probe = vfio_pci_probe,
        .read = vfio_pci_read,
        .create = vfio_pci_create,
        .find = vfio_pci_find,
        .configure = vfio_pci_configure,
        .remove = vfio_pci_remove,
        .read_counts = vfio_pci_read_counts,
};
