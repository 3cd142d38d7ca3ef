/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "backend/vfs.h"
#include "util/text.h"

/* Part of NVIDIA's vGPU host package (vendor-documented, 580). It enables all functions that the card can have, or none,
 * takes the card from its driver meanwhile, and says yes when it has failed. */
#define SRIOV_MANAGE "/usr/lib/nvidia/sriov-manage"

void vfs_read_counts(const Host *host, const char *gpu, uint32_t *ret_num, uint32_t *ret_max) {
        *ret_max = pci_read_number(host, gpu, "sriov_totalvfs", 0);
        *ret_num = pci_read_number(host, gpu, "sriov_numvfs", 0);
}

static int write_number(const Host *host, const char *gpu, uint32_t n) {
        char path[PCI_ADDRESS_SIZE + 64], text[16];

        (void)snprintf(path, sizeof(path), "bus/pci/devices/%.63s/sriov_numvfs", gpu);
        (void)snprintf(text, sizeof(text), "%u", n);
        return host->ops->store(host, host->sys_fd, path, text);
}

static int explain(int code, const char *gpu, uint32_t n, Error *error) {
        if (code == -ENOENT)
                return error_set(error, -ERROR_NOT_SUPPORTED, "The driver of GPU %s has no virtual functions", gpu);

        return error_set(error, -ERROR_DRIVER_REJECTED, "The driver of GPU %s refused %u virtual functions: %s (%s)",
                         gpu, n, strerrordesc_np(-code) ?: "unknown error", strerrorname_np(-code) ?: "?");
}

/* The kernel goes from some to others by way of none only (kernel 6.12, drivers/pci/pci-sysfs.c: EBUSY). */
static int change_by_kernel(const Host *host, const char *gpu, uint32_t now, uint32_t n, Error *error) {
        int r = 0;

        if (now > 0)
                r = write_number(host, gpu, 0);
        if (r >= 0 && n > 0)
                r = write_number(host, gpu, n);
        return r < 0 ? explain(r, gpu, n, error) : 0;
}

static int change_by_nvidia(const Host *host, const char *gpu, uint32_t n, uint32_t max, Error *error) {
        const char *const command[] = { SRIOV_MANAGE, n > 0 ? "-e" : "-d", gpu, NULL };
        int r;

        if (n != 0 && n != max)
                return error_set(error, -ERROR_INVALID_ARGUMENT,
                                 "NVIDIA's driver enables all %u virtual functions of GPU %s or none", max, gpu);

        r = host->ops->run ? host->ops->run(host, command) : -ENOENT;
        if (r < 0)
                return error_set(error, -ERROR_NOT_SUPPORTED, SRIOV_MANAGE " cannot be run: %s",
                                 strerrordesc_np(-r) ?: "unknown error");

        return 0;
}

int vfs_enable(const Host *host, const char *gpu, uint32_t n, Error *error) {
        uint32_t now, max;
        char driver[PCI_DRIVER_SIZE];
        int r;

        vfs_read_counts(host, gpu, &now, &max);
        if (max == 0)
                return error_set(error, -ERROR_NOT_SUPPORTED, "GPU %s has no virtual functions", gpu);
        if (n > max)
                return error_set(error, -ERROR_INVALID_ARGUMENT, "GPU %s can have at most %u virtual functions", gpu,
                                 max);
        pci_read_driver(host, gpu, driver);
        if (driver[0] == '\0')
                return error_set(error, -ERROR_NOT_SUPPORTED,
                                 "No driver is bound to GPU %s that could make virtual functions", gpu);
        if (now == n)
                return 0;

        r = streq(driver, "nvidia") ? change_by_nvidia(host, gpu, n, max, error)
                                    : change_by_kernel(host, gpu, now, n, error);
        if (r < 0)
                return r;

        vfs_read_counts(host, gpu, &now, &max);
        if (now != n)
                return error_set(error, -ERROR_DRIVER_REJECTED,
                                 "GPU %s was to have %u virtual functions, and has %u; the kernel's log may say why",
                                 gpu, n, now);
        return 0;
}
