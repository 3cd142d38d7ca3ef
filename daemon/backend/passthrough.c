/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "backend/device-lock.h"
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

/* All of them; the first that did not go is told of. */
static int give_back_functions(const Host *host, const Claim *claim, size_t first, size_t n, Error *error) {
        int r = 0, k;

        for (size_t i = first; i < n; i++) {
                k = give_back_function(host, &claim->functions[i], r < 0 ? NULL : error);
                r = r < 0 ? r : k;
        }

        return r;
}

static void restore(const Host *host, const Provision *provision, const Claim *claim) {
        if (provision && claim->n_settings > 0)
                provision->restore(provision, host, claim);
}

static void undo(const Host *host, const Claim *claim, size_t n, const Provision *provision) {
        Error error = ERROR_NULL;

        if (give_back_functions(host, claim, 0, n, &error) < 0)
                log_debug("After a failed creation: %s", error.message);
        restore(host, provision, claim);
        claim_remove(host, claim->functions[0].address);
}

static int write_claim(const Host *host, const Claim *claim, Error *error) {
        int r;

        r = claim_write(host, claim->functions[0].address, claim);
        if (r < 0)
                return error_set(error, -EIO,
                                 "That PCI device %s is ours cannot be written to /run/mdevgpud/claims: %s",
                                 claim->functions[0].address, strerrordesc_np(-r) ?: "unknown error");

        return 0;
}

/* A vfio driver comes last: what is handed over is all that it shall be. */
static int take(const Host *host, const Claim *claim, const char *vfio_driver, const Provision *provision,
                Error *error) {
        int r;

        r = provision ? provision->apply(provision, host, claim, error) : 0;
        if (r < 0) {
                undo(host, claim, 0, provision);
                return r;
        }

        /* The function that the vGPU is named after is the last one: with a vfio driver it is complete. */
        for (size_t i = claim->n_functions; i > 0; i--) {
                r = pci_hand_to_vfio(host, claim->functions[i - 1].address, vfio_driver, error);
                if (r < 0) {
                        undo(host, claim, claim->n_functions, provision);
                        return r;
                }
        }

        return 0;
}

int passthrough_take(const Host *host, const PciAddress *functions, size_t n_functions, const char *vfio_driver,
                     const char *type_id, const char *uuid, const Provision *provision, Error *error) {
        _cleanup_(device_unlock) DeviceLock lock = DEVICE_LOCK_NULL;
        Claim claim = { .busy = true, .n_functions = n_functions }, before = {};
        int r;

        r = device_lock(host, functions[0].name, &lock);
        if (r < 0)
                return device_lock_explain(r, functions[0].name, error);

        (void)claim_read(host, functions[0].name, &before);
        restore(host, provision, &before); /* somebody took it from its vfio driver without us */
        (void)text_copy(claim.uuid, sizeof(claim.uuid), uuid);
        (void)text_copy(claim.type_id, sizeof(claim.type_id), type_id);
        for (size_t i = 0; i < n_functions; i++) {
                (void)text_copy(claim.functions[i].address, PCI_ADDRESS_SIZE, functions[i].name);
                remember_driver(host, &before, &claim.functions[i]);
        }
        if (provision)
                provision->save(provision, host, &claim);

        r = write_claim(host, &claim, error);
        if (r >= 0)
                r = take(host, &claim, vfio_driver, provision, error);
        if (r < 0)
                return r;

        claim.busy = false;
        r = claim_write(host, functions[0].name, &claim);
        if (r < 0)
                log_debug("The claim of PCI device %s cannot be completed: %s", functions[0].name, strerror(-r));
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

int passthrough_give_back(const Host *host, const char *address, const Provision *provision, Error *error) {
        _cleanup_(device_unlock) DeviceLock lock = DEVICE_LOCK_NULL;
        char driver[PCI_DRIVER_SIZE];
        Claim claim;
        int r, k;

        r = device_lock(host, address, &lock);
        if (r < 0)
                return device_lock_explain(r, address, error);
        if (claim_read(host, address, &claim) < 0) /* somebody else took it: the kernel knows whose it would be */
                return pci_give_back(host, address, NULL, error);

        claim.busy = true;
        r = check_users(host, &claim, error);
        if (r >= 0)
                r = write_claim(host, &claim, error);
        if (r < 0)
                return r;
        r = give_back_function(host, &claim.functions[0], error);
        pci_read_driver(host, address, driver);
        if (r < 0 && pci_driver_is_vfio(driver)) {
                claim.busy = false;
                (void)claim_write(host, address, &claim);
                return r;
        }

        k = give_back_functions(host, &claim, 1, claim.n_functions, r < 0 ? NULL : error);
        restore(host, provision, &claim);
        claim_remove(host, address);
        return r < 0 ? r : k;
}

bool passthrough_is_busy(const Host *host, const char *address) {
        Claim claim;

        return claim_read(host, address, &claim) >= 0 && claim.busy;
}

static bool is_left(const Host *host, const char *address, Claim *ret_claim) {
        char driver[PCI_DRIVER_SIZE];

        pci_read_driver(host, address, driver);
        return !pci_driver_is_vfio(driver) && claim_read(host, address, ret_claim) >= 0 && ret_claim->busy;
}

void passthrough_recover(const Host *host, const char *address, const Provision *provision) {
        _cleanup_(device_unlock) DeviceLock lock = DEVICE_LOCK_NULL;
        Claim claim;

        /* Looked at again with the lock: until then it may be somebody's who is about to end. */
        if (is_left(host, address, &claim) && device_lock(host, address, &lock) >= 0 && is_left(host, address, &claim))
                undo(host, &claim, claim.n_functions, provision);
}
