/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "backend/card.h"
#include "backend/device-lock.h"
#include "backend/gim.h"
#include "backend/vfs-undo.h"
#include "backend/vfs.h"
#include "backend/xe-profile.h"
#include "util/log.h"
#include "util/text.h"

/* Part of NVIDIA's vGPU host package (vendor-documented, 580). It enables all functions that the card can have, or none,
 * takes the card from its driver meanwhile, and may say yes when it has failed. */
#define SRIOV_MANAGE "/usr/lib/nvidia/sriov-manage"
#define NVIDIA_DRIVER "nvidia"

void vfs_read_counts(const Host *host, const char *gpu, uint32_t *ret_num, uint32_t *ret_max) {
        *ret_max = pci_read_number(host, gpu, "sriov_totalvfs", 0);
        *ret_num = pci_read_number(host, gpu, "sriov_numvfs", 0);
}

static int write_number(const Host *host, const char *gpu, const char *attribute, uint32_t n) {
        char path[PCI_ADDRESS_SIZE + 64], text[16];

        (void)snprintf(path, sizeof(path), "bus/pci/devices/%.63s/%s", gpu, attribute);
        (void)snprintf(text, sizeof(text), "%u", n);
        return host->ops->store(host, host->sys_fd, path, text);
}

/* What is written for all at once has to come before the first is enabled, as then each is provisioned (kernel 7.0, xe). */
static int write_attributes(const Host *host, const char *gpu, const Attributes *attributes, Error *error) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < attributes->n; i++)
                r = xe_profile_write_all(host, gpu, &attributes->items[i], error);
        return r;
}

/* The kernel goes from some to others by way of none only (kernel 6.12, drivers/pci/pci-sysfs.c: EBUSY); if it is not to be
 * had there are as many as before. *error is filled where it was not the number that was refused. */
static int write_numvfs(const Host *host, const char *gpu, uint32_t now, uint32_t n, const Attributes *attributes,
                        Error *error) {
        int r = 0;

        if (now > 0)
                r = write_number(host, gpu, "sriov_numvfs", 0);
        if (r < 0)
                return r;

        if (attributes && attributes->n > 0)
                r = write_attributes(host, gpu, attributes, error);
        if (r >= 0 && n > 0)
                r = write_number(host, gpu, "sriov_numvfs", n);
        if (r < 0 && now > 0)
                (void)write_number(host, gpu, "sriov_numvfs", now);
        return r;
}

/*
 * Functions that are to be handed over need no driver of the host's, which would only make devices of them that somebody
 * might take: so none is offered them while they come. Who wants one for a function binds it later; NVIDIA's, which have to
 * stay with its driver, are left to that.
 */
static int change_by_kernel(const Host *host, const char *gpu, const char *driver, uint32_t now, uint32_t n,
                            const Attributes *attributes, Error *error) {
        uint32_t probe = pci_read_number(host, gpu, "sriov_drivers_autoprobe", 0);
        VfsUndo undo = { .num_vfs = n == 0 ? 0 : now };
        int r;

        if (streq(driver, NVIDIA_DRIVER) || n == 0)
                probe = 0;
        undo.autoprobe = probe;
        (void)text_copy(undo.driver, sizeof(undo.driver), driver);
        r = vfs_undo_write(host, gpu, &undo);
        if (r < 0)
                return error_set(error, -EIO,
                                 "What is so before the virtual functions of GPU %s are changed cannot be written to "
                                 "/run/mdevgpud: %s",
                                 gpu, strerrordesc_np(-r) ?: "unknown error");

        if (probe != 0) {
                r = write_number(host, gpu, "sriov_drivers_autoprobe", 0);
                if (r < 0)
                        log_debug("GPU %s: drivers will take its virtual functions: %s", gpu, strerror(-r));
        }
        r = write_numvfs(host, gpu, now, n, attributes, error);
        if (probe != 0)
                (void)write_number(host, gpu, "sriov_drivers_autoprobe", probe);
        vfs_undo_remove(host, gpu);
        return r;
}

static void put_back(const Host *host, const char *gpu, const char *attribute, uint32_t n) {
        int r;

        if (n == 0 || pci_read_number(host, gpu, attribute, 0) != 0)
                return;

        r = write_number(host, gpu, attribute, n);
        if (r < 0)
                log_debug("GPU %s: %s stays 0, and was %u: %s", gpu, attribute, n, strerror(-r));
}

void vfs_recover(const Host *host, const char *gpu) {
        _cleanup_(device_unlock) DeviceLock lock = DEVICE_LOCK_NULL;
        char driver[PCI_DRIVER_SIZE];
        VfsUndo undo;

        /* Looked at again with the lock: until then it may be somebody's who is about to end. */
        if (vfs_undo_read(host, gpu, &undo) < 0 || device_lock(host, gpu, &lock) < 0)
                return;
        if (vfs_undo_read(host, gpu, &undo) >= 0) {
                pci_read_driver(host, gpu, driver);
                if (streq(driver, undo.driver))
                        put_back(host, gpu, "sriov_numvfs", undo.num_vfs);
                put_back(host, gpu, "sriov_drivers_autoprobe", undo.autoprobe);
        }
        vfs_undo_remove(host, gpu);
}

static int explain(int code, const char *gpu, uint32_t n, Error *error) {
        if (code == -ENOENT)
                return error_set(error, -ERROR_NOT_SUPPORTED,
                                 "The driver of GPU %s has no virtual functions to offer, though the card has", gpu);

        return error_set(error, -ERROR_DRIVER_REJECTED, "The driver of GPU %s refused %u virtual functions: %s (%s)",
                         gpu, n, strerrordesc_np(-code) ?: "unknown error", strerrorname_np(-code) ?: "?");
}

/* The program's status, which proves nothing; or why it could not be run. */
static int change_by_nvidia(const Host *host, const char *gpu, const char *program, uint32_t n, Error *error) {
        const char *const command[] = { *program ? program : SRIOV_MANAGE, n > 0 ? "-e" : "-d", gpu, NULL };
        int r;

        r = host->ops->run ? host->ops->run(host, command) : -ENOENT;
        if (r < 0)
                return error_set(error, -ERROR_NOT_SUPPORTED,
                                 "NVIDIA's driver leaves it to %s, which cannot be run: %s", command[0],
                                 strerrordesc_np(-r) ?: "unknown error");

        return r;
}

/* The host may use one by its own driver: it would go under whoever has it open. */
static int check_users(const Host *host, const char *gpu, Error *error) {
        PciAddress vfs[PCI_VFS_MAX];
        size_t n_vfs = pci_read_vfs(host, gpu, vfs);
        int r = 0;

        for (size_t i = 0; r >= 0 && i < n_vfs; i++)
                r = card_check_users(host, vfs[i].name, error);
        return r;
}

static int check_outcome(const Host *host, const char *gpu, uint32_t n, int status, Error *error) {
        char remark[64] = "";
        Error users = ERROR_NULL;
        uint32_t now, max;

        vfs_read_counts(host, gpu, &now, &max);
        if (now == n)
                return 0;

        if (card_check_users(host, gpu, &users) == -ERROR_IN_USE)
                return error_set(error, -ERROR_IN_USE, "GPU %s was to have %u virtual functions, and has %u. %s", gpu,
                                 n, now, users.message);
        if (status > 0)
                (void)snprintf(remark, sizeof(remark), " (the program's exit status was %i)", status);
        return error_set(
                error, -ERROR_DRIVER_REJECTED,
                "GPU %s was to have %u virtual functions, and has %u%s; somebody may have the GPU open, or the "
                "kernel's log may say why",
                gpu, n, now, remark);
}

/* 1: there is nothing to do. */
static int judge(const Host *host, const char *gpu, const char *driver, uint32_t now, uint32_t max, uint32_t n,
                 bool anew, Error *error) {
        if (max == 0)
                return error_set(error, -ERROR_NOT_SUPPORTED, "GPU %s has no virtual functions", gpu);
        if (n > max)
                return error_set(error, -ERROR_INVALID_ARGUMENT, "GPU %s can have at most %u virtual functions", gpu,
                                 max);
        if (driver[0] == '\0')
                return error_set(error, -ERROR_NOT_SUPPORTED,
                                 "No driver is bound to GPU %s that could make virtual functions", gpu);
        if (now == n && !anew)
                return 1;
        if (gim_is_driver(driver))
                return error_set(
                        error, -ERROR_NOT_SUPPORTED,
                        "AMD's GIM driver makes the virtual functions of GPU %s when it is loaded; their number is "
                        "one of its module's parameters",
                        gpu);
        if (anew && !xe_profile_present(host, gpu))
                return error_set(
                        error, -ERROR_NOT_SUPPORTED,
                        "The virtual functions of GPU %s have no attributes: its driver is not one that provisions "
                        "them as Intel's xe does",
                        gpu);
        if (streq(driver, NVIDIA_DRIVER) && n != 0 && n != max)
                return error_set(error, -ERROR_INVALID_ARGUMENT,
                                 "NVIDIA's driver enables all %u virtual functions of GPU %s or none", max, gpu);

        return check_users(host, gpu, error);
}

int vfs_enable(const Host *host, const char *gpu, uint32_t n, const Attributes *attributes, const char *sriov_manage,
               Error *error) {
        _cleanup_(device_unlock) DeviceLock lock = DEVICE_LOCK_NULL;
        Error refusal = ERROR_NULL;
        uint32_t now, max;
        char driver[PCI_DRIVER_SIZE];
        int r;

        vfs_recover(host, gpu);
        r = device_lock(host, gpu, &lock);
        if (r < 0)
                return device_lock_explain(r, gpu, error);
        vfs_read_counts(host, gpu, &now, &max);
        pci_read_driver(host, gpu, driver);
        r = judge(host, gpu, driver, now, max, n, attributes && attributes->n > 0, error);
        if (r != 0)
                return MIN(r, 0);

        r = change_by_kernel(host, gpu, driver, now, n, attributes, &refusal);
        if (refusal.code < 0)
                return error_set(error, refusal.code, "%s", refusal.message);
        /* NVIDIA's driver refuses what others take (reported, up to 580). */
        if (r < 0 && streq(driver, NVIDIA_DRIVER)) {
                r = change_by_nvidia(host, gpu, sriov_manage, n, error);
                if (r < 0)
                        return r;
        } else if (r < 0)
                return explain(r, gpu, n, error);

        return check_outcome(host, gpu, n, r, error);
}
