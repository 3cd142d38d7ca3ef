/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "backend/card.h"
#include "backend/vf.h"
#include "util/text.h"

static bool is_taken(const Host *host, const char *vf) {
        char driver[PCI_DRIVER_SIZE];

        pci_read_driver(host, vf, driver);
        return pci_driver_is_vfio(driver);
}

/* Free ones that could be handed over; reason is what is against one of the others, if anything. */
static uint32_t count_free(const Host *host, const PciAddress *vfs, size_t n_vfs, char *reason, size_t size) {
        uint32_t n = 0;

        for (size_t i = 0; i < n_vfs; i++) {
                Card card;

                if (is_taken(host, vfs[i].name) || passthrough_is_busy(host, vfs[i].name))
                        continue;
                card_judge_function(host, vfs[i].name, &card);
                if (card.code == 0)
                        n++;
                else
                        (void)snprintf(reason, size, "%s: %.180s", vfs[i].name, card.reason);
        }

        return n;
}

/* What it was claimed as: it may have been provisioned for that. */
static void read_type(const Host *host, const char *vf, char ret_type[static TYPE_ID_SIZE]) {
        Claim claim;

        (void)text_copy(ret_type, TYPE_ID_SIZE, claim_read(host, vf, &claim) >= 0 ? claim.type_id : TYPE_ID_VF);
}

/* 1: it is a vGPU. */
static int read_vgpu(const Host *host, const char *vf, VGpuReport *ret_vgpu) {
        char type_id[TYPE_ID_SIZE];

        if (!is_taken(host, vf))
                return 0;

        read_type(host, vf, type_id);
        return passthrough_read(host, vf, type_id, VGPU_VF, ret_vgpu);
}

uint32_t vf_count_free(const Host *host, const char *gpu) {
        PciAddress vfs[PCI_VFS_MAX];
        char reason[REASON_SIZE];

        return count_free(host, vfs, pci_read_vfs(host, gpu, vfs), reason, sizeof(reason));
}

static int read_vgpus(const Host *host, const PciAddress *vfs, size_t n_vfs, GpuReport *report) {
        for (size_t i = 0; i < n_vfs; i++) {
                VGpuReport vgpu, *slot;

                if (read_vgpu(host, vfs[i].name, &vgpu) <= 0)
                        continue;
                slot = gpu_report_add_vgpu(report);
                if (!slot)
                        return -ENOMEM;
                *slot = vgpu;
        }

        return 0;
}

static Provision provision_of(const Provision *provision, const char *gpu, size_t i) {
        Provision p = provision ? *provision : (Provision){};

        p.gpu = gpu;
        p.number = (unsigned)i + 1;
        return p;
}

void vf_recover(const Host *host, const char *gpu, const Provision *provision) {
        PciAddress vfs[PCI_VFS_MAX];
        size_t n_vfs = pci_read_vfs(host, gpu, vfs);

        for (size_t i = 0; i < n_vfs; i++) {
                const Provision p = provision_of(provision, gpu, i);

                passthrough_recover(host, vfs[i].name, provision ? &p : NULL);
        }
}

int vf_read(const Host *host, const char *gpu, GpuReport *report, Error *error) {
        PciAddress vfs[PCI_VFS_MAX];
        size_t n_vfs = pci_read_vfs(host, gpu, vfs);
        TypeReport *type;
        int r;

        type = gpu_report_add_type(report);
        r = type ? read_vgpus(host, vfs, n_vfs, report) : -ENOMEM;
        if (r < 0)
                return error_set_errno(error, r, "the virtual functions cannot be described");

        (void)text_copy(type->id, sizeof(type->id), TYPE_ID_VF);
        (void)text_copy(type->name, sizeof(type->name), "Virtual function");
        (void)text_copy(type->device_api, sizeof(type->device_api), "vfio-pci");
        type->kind = VGPU_VF;
        type->max_instances = pci_read_number(host, gpu, "sriov_totalvfs", UNKNOWN_U32);
        type->available = count_free(host, vfs, n_vfs, type->reason, sizeof(type->reason));
        type->source = TYPE_SOURCE_DRIVER;
        type->registration = REGISTRATION_REGISTERED;
        if (type->available > 0)
                type->reason[0] = '\0';
        else if (n_vfs == 0)
                (void)snprintf(type->reason, sizeof(type->reason), "none of its %u virtual functions is enabled",
                               type->max_instances);
        return 0;
}

/* The function that is asked for, or the first that can be had. */
static int choose(const Host *host, const char *gpu, const char *parent, PciAddress *ret_vf, size_t *ret_i,
                  Error *error) {
        bool any = *parent == '\0' || streq(parent, gpu), found = false;
        PciAddress vfs[PCI_VFS_MAX];
        size_t n_vfs = pci_read_vfs(host, gpu, vfs);
        char reason[REASON_SIZE] = "";

        for (size_t i = 0; i < n_vfs; i++) {
                Card card;

                if (!any && !streq(vfs[i].name, parent))
                        continue;
                found = true;
                card_judge_function(host, vfs[i].name, &card);
                if (is_taken(host, vfs[i].name) || passthrough_is_busy(host, vfs[i].name))
                        continue;
                if (card.code == 0) {
                        *ret_vf = vfs[i];
                        *ret_i = i;
                        return 0;
                }
                (void)text_copy(reason, sizeof(reason), card.reason);
        }

        if (!pci_exists(host, gpu) || (!any && !found))
                return error_set(error, -ERROR_NO_SUCH_GPU, "%s is no virtual function of GPU %s any more", parent,
                                 gpu);
        if (reason[0] != '\0')
                return error_set(error, -ERROR_NOT_SUPPORTED, "No virtual function of GPU %s can be handed over: %s",
                                 gpu, reason);

        return error_set(error, -ERROR_NO_INSTANCES, "GPU %s has no virtual function left: %zu are enabled%s%s", gpu,
                         n_vfs, any ? "" : ", and a vGPU has ", any ? "" : parent);
}

int vf_create(const Host *host, const char *gpu, const char *parent, const char *vfio_driver, const char *type_id,
              const char *uuid, const Provision *provision, VGpuReport *ret_vgpu, Error *error) {
        Provision p;
        PciAddress vf;
        size_t i;
        int r;

        if (vf_find(host, gpu, uuid, ret_vgpu, NULL, NULL) >= 0)
                return error_set(error, -ERROR_ALREADY_EXISTS, "vGPU %s exists already", uuid);

        vf_recover(host, gpu, provision);
        r = choose(host, gpu, parent, &vf, &i, error);
        if (r >= 0)
                r = card_check_users(host, vf.name, error);
        if (r < 0)
                return r;

        p = provision_of(provision, gpu, i);
        r = passthrough_take(host, &vf, 1, vfio_driver, type_id, uuid, provision ? &p : NULL, error);
        if (r < 0)
                return r;

        passthrough_describe(host, vf.name, type_id, VGPU_VF, ret_vgpu);
        return 0;
}

int vf_find(const Host *host, const char *gpu, const char *uuid, VGpuReport *ret_vgpu, unsigned *ret_number,
            Error *error) {
        PciAddress vfs[PCI_VFS_MAX];
        size_t n_vfs = pci_read_vfs(host, gpu, vfs);

        for (size_t i = 0; i < n_vfs; i++) {
                VGpuReport vgpu;

                if (read_vgpu(host, vfs[i].name, &vgpu) <= 0 || !streq(vgpu.uuid, uuid))
                        continue;
                *ret_vgpu = vgpu;
                if (ret_number)
                        *ret_number = (unsigned)i + 1;
                return 0;
        }

        return error_set(error, -ERROR_NO_SUCH_VGPU, "vGPU %s is not on GPU %s", uuid, gpu);
}

int vf_remove(const Host *host, const char *gpu, const char *uuid, const Provision *provision, Error *error) {
        unsigned number;
        VGpuReport vgpu;
        Provision p;
        int r;

        r = vf_find(host, gpu, uuid, &vgpu, &number, error);
        if (r < 0)
                return r;

        p = provision_of(provision, gpu, number - 1);
        return passthrough_give_back(host, vgpu.parent, provision ? &p : NULL, error);
}

int vf_read_counts(const Host *host, const char *gpu, TypeCount **ret_counts, size_t *ret_n_counts, Error *error) {
        TypeCount *count;

        count = calloc(1, sizeof(TypeCount));
        if (!count)
                return error_set_errno(error, -ENOMEM, "the types' counts cannot be read");

        (void)text_copy(count->id, sizeof(count->id), TYPE_ID_VF);
        count->available = vf_count_free(host, gpu);
        *ret_counts = count;
        *ret_n_counts = 1;
        return 0;
}
