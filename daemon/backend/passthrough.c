/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "backend/passthrough.h"
#include "backend/users.h"
#include "util/log.h"
#include "util/text.h"

void passthrough_describe(const Host *host, const char *address, const char *type_id, VGpuKind kind,
                          VGpuReport *ret_vgpu) {
        *ret_vgpu = (VGpuReport){ .kind = kind, .iommu_group = pci_read_group(host, address) };
        claim_identify(host, address, type_id, ret_vgpu->uuid);
        (void)text_copy(ret_vgpu->type_id, sizeof(ret_vgpu->type_id), type_id);
        (void)text_copy(ret_vgpu->parent, sizeof(ret_vgpu->parent), address);
        (void)snprintf(ret_vgpu->sysfs_path, sizeof(ret_vgpu->sysfs_path), "/sys/bus/pci/devices/%.63s", address);
}

int passthrough_read(const Host *host, const char *address, const char *type_id, VGpuKind kind, VGpuReport *ret_vgpu) {
        char driver[PCI_DRIVER_SIZE];

        pci_read_driver(host, address, driver);
        if (!pci_driver_is_vfio(driver))
                return 0;

        passthrough_describe(host, address, type_id, kind, ret_vgpu);
        return 1;
}

/* Whose it was: if one before us was killed in the middle of it, what he wrote down. */
static void remember_driver(const Host *host, const Claim *before, ClaimFunction *f) {
        char driver[PCI_DRIVER_SIZE];

        pci_read_driver(host, f->address, driver);
        for (size_t i = 0; driver[0] == '\0' && i < before->n_functions; i++)
                if (streq(before->functions[i].address, f->address))
                        (void)text_copy(driver, sizeof(driver), before->functions[i].driver);
        (void)text_copy(f->driver, sizeof(f->driver), driver);
}

static int give_back_function(const Host *host, const ClaimFunction *f, Error *error) {
        if (pci_driver_is_vfio(f->driver)) /* it was so before */
                return 0;

        return pci_give_back(host, f->address, f->driver, error);
}

static void undo(const Host *host, const Claim *claim, size_t n) {
        for (size_t i = 0; i < n; i++) {
                Error error = ERROR_NULL;

                if (give_back_function(host, &claim->functions[i], &error) < 0)
                        log_debug("After a failed creation: %s", error.message);
        }
        claim_remove(host, claim->functions[0].address);
}

int passthrough_take(const Host *host, const PciAddress *functions, size_t n_functions, const char *vfio_driver,
                     const char *type_id, const char *uuid, Error *error) {
        Claim claim = { .n_functions = n_functions }, before = {};
        int r;

        (void)claim_read(host, functions[0].name, &before);
        (void)text_copy(claim.uuid, sizeof(claim.uuid), uuid);
        (void)text_copy(claim.type_id, sizeof(claim.type_id), type_id);
        for (size_t i = 0; i < n_functions; i++) {
                (void)text_copy(claim.functions[i].address, PCI_ADDRESS_SIZE, functions[i].name);
                remember_driver(host, &before, &claim.functions[i]);
        }

        r = claim_write(host, functions[0].name, &claim);
        if (r < 0)
                return error_set(error, -EIO,
                                 "That PCI device %s is ours cannot be written to /run/mdevgpud/claims: %s",
                                 functions[0].name, strerrordesc_np(-r) ?: "unknown error");

        for (size_t i = 0; i < n_functions; i++) {
                r = pci_hand_to_vfio(host, functions[i].name, vfio_driver, error);
                if (r < 0) {
                        undo(host, &claim, i + 1);
                        return r;
                }
        }

        return 0;
}

/* What went with it may be in a group of its own, and held by itself. */
static int check_users(const Host *host, const Claim *claim, Error *error) {
        for (size_t i = 1; i < claim->n_functions; i++) {
                _cleanup_(freep) User *users = NULL;
                char device[PCI_ADDRESS_SIZE + 32], text[320];
                size_t n_users;
                int r;

                (void)snprintf(device, sizeof(device), "bus/pci/devices/%s", claim->functions[i].address);
                r = users_find(host, device, -1, &users, &n_users);
                if (r < 0)
                        return error_set_errno(error, r, "it cannot be seen who uses the vGPU");
                if (n_users == 0)
                        continue;

                users_describe(users, n_users, text, sizeof(text));
                return error_set(error, -ERROR_IN_USE, "%s, which belongs to vGPU %s, is in use by %s; stop that first",
                                 claim->functions[i].address, claim->uuid, text);
        }

        return 0;
}

int passthrough_give_back(const Host *host, const char *address, Error *error) {
        char driver[PCI_DRIVER_SIZE];
        Claim claim;
        int r, k;

        if (claim_read(host, address, &claim) < 0) /* somebody else took it: the kernel knows whose it would be */
                return pci_give_back(host, address, NULL, error);

        r = check_users(host, &claim, error);
        if (r < 0)
                return r;
        r = give_back_function(host, &claim.functions[0], error);
        pci_read_driver(host, address, driver);
        if (r < 0 && pci_driver_is_vfio(driver))
                return r;

        for (size_t i = 1; i < claim.n_functions; i++) {
                k = give_back_function(host, &claim.functions[i], r < 0 ? NULL : error);
                r = r < 0 ? r : k;
        }
        claim_remove(host, address);
        return r;
}
