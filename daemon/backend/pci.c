/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "backend/pci.h"
#include "core/scan.h"
#include "util/file.h"
#include "util/text.h"

#define PATH_SIZE (PCI_ADDRESS_SIZE + 128U)

static void format_path(char buffer[static PATH_SIZE], const char *address, const char *attribute) {
        (void)snprintf(buffer, PATH_SIZE, "bus/pci/devices/%.63s/%.100s", address, attribute);
}

bool pci_exists(const Host *host, const char *address) {
        char path[PATH_SIZE];

        format_path(path, address, "vendor");
        return path_exists(host->sys_fd, path);
}

bool pci_is_vf(const Host *host, const char *address) {
        char path[PATH_SIZE];

        format_path(path, address, "physfn");
        return path_exists(host->sys_fd, path);
}

uint32_t pci_read_number(const Host *host, const char *address, const char *attribute, uint32_t fallback) {
        char path[PATH_SIZE];
        uint64_t value;

        format_path(path, address, attribute);
        return attribute_read_number(host->sys_fd, path, UNKNOWN_U32 - 1, &value) < 0 ? fallback : (uint32_t)value;
}

void pci_read_driver(const Host *host, const char *address, char ret_driver[static PCI_DRIVER_SIZE]) {
        char path[PATH_SIZE];

        format_path(path, address, "driver");
        if (link_read_basename(host->sys_fd, path, ret_driver, PCI_DRIVER_SIZE) < 0)
                ret_driver[0] = '\0';
}

int32_t pci_read_group(const Host *host, const char *address) {
        char path[PATH_SIZE], group[SYSFS_NAME_SIZE], *end;
        long v;

        format_path(path, address, "iommu_group");
        if (link_read_basename(host->sys_fd, path, group, sizeof(group)) < 0)
                return -1;

        errno = 0;
        v = strtol(group, &end, 10);
        return errno == 0 && end != group && *end == '\0' && v >= 0 && v <= INT32_MAX ? (int32_t)v : -1;
}

uint64_t pci_read_incarnation(const Host *host, const char *address) {
        char path[PATH_SIZE];

        (void)snprintf(path, sizeof(path), "bus/pci/devices/%.63s", address);
        return scan_incarnation(host, path);
}

bool pci_driver_is_vfio(const char *driver) {
        const char *vfio = strstr(driver, "vfio");

        return vfio && (streq(vfio, "vfio-pci") || streq(vfio, "vfio_pci"));
}

bool pci_driver_is_loaded(const Host *host, const char *driver) {
        char path[PATH_SIZE];

        (void)snprintf(path, sizeof(path), "bus/pci/drivers/%.63s", driver);
        return path_exists(host->sys_fd, path);
}

size_t pci_read_functions(const Host *host, const char *address, PciAddress ret[static PCI_FUNCTIONS_MAX]) {
        const char *dot = strrchr(address, '.');
        size_t n = 0;

        (void)text_copy(ret[n++].name, PCI_ADDRESS_SIZE, address);
        for (unsigned i = 0; dot && i < PCI_FUNCTIONS_MAX; i++) {
                char other[PCI_ADDRESS_SIZE];

                (void)snprintf(other, sizeof(other), "%.*s.%u", (int)(dot - address), address, i);
                if (!streq(other, address) && pci_exists(host, other) && !pci_is_vf(host, other))
                        (void)text_copy(ret[n++].name, PCI_ADDRESS_SIZE, other);
        }

        return n;
}

size_t pci_read_vfs(const Host *host, const char *address, PciAddress ret[static PCI_VFS_MAX]) {
        size_t n = 0;

        for (; n < PCI_VFS_MAX; n++) {
                char path[PATH_SIZE], attribute[32];

                (void)snprintf(attribute, sizeof(attribute), "virtfn%zu", n);
                format_path(path, address, attribute);
                if (link_read_basename(host->sys_fd, path, ret[n].name, PCI_ADDRESS_SIZE) < 0)
                        break;
        }

        return n;
}

static int store(const Host *host, const char *address, const char *attribute, const char *text) {
        char path[PATH_SIZE];

        format_path(path, address, attribute);
        return host->ops->store(host, host->sys_fd, path, text);
}

static int explain(int code, const char *address, const char *what, Error *error) {
        if (code == -ENODEV || code == -ENOENT)
                return error_set(error, -ERROR_NO_SUCH_GPU, "PCI device %s, or its driver, has just gone", address);

        return error_set(error, -ERROR_DRIVER_REJECTED, "PCI device %s could not be %s: %s (%s)", address, what,
                         strerrordesc_np(-code) ?: "unknown error", strerrorname_np(-code) ?: "?");
}

int pci_hand_to_vfio(const Host *host, const char *address, const char *vfio_driver, Error *error) {
        char driver[PCI_DRIVER_SIZE];
        int r;

        pci_read_driver(host, address, driver);
        if (pci_driver_is_vfio(driver))
                return 0;

        r = store(host, address, "driver_override", vfio_driver);
        if (r < 0)
                return explain(r, address, "reserved for a vfio driver", error);
        r = driver[0] != '\0' ? store(host, address, "driver/unbind", address) : 0;
        if (r < 0)
                return explain(r, address, "taken from its driver", error);
        r = host->ops->store(host, host->sys_fd, "bus/pci/drivers_probe", address);
        if (r < 0)
                return explain(r, address, "handed to a vfio driver", error);

        pci_read_driver(host, address, driver);
        if (!pci_driver_is_vfio(driver))
                return error_set(error, -ERROR_DRIVER_REJECTED,
                                 "The driver %s did not take PCI device %s; the kernel's log may say why", vfio_driver,
                                 address);

        return 0;
}

int pci_give_back(const Host *host, const char *address, const char *driver, Error *error) {
        char path[PATH_SIZE], now[PCI_DRIVER_SIZE];
        int r;

        r = store(host, address, "driver_override", "\n");
        if (r < 0)
                return explain(r, address, "freed for other drivers", error);

        pci_read_driver(host, address, now);
        if (pci_driver_is_vfio(now)) {
                r = store(host, address, "driver/unbind", address);
                if (r < 0)
                        return explain(r, address, "taken from its vfio driver", error);
                pci_read_driver(host, address, now);
        }
        if (pci_driver_is_vfio(now))
                return error_set(error, -ERROR_DRIVER_REJECTED,
                                 "PCI device %s was to be taken from its vfio driver, but still has it", address);
        if (now[0] != '\0' || (driver && *driver == '\0'))
                return 0;

        if (driver)
                (void)snprintf(path, sizeof(path), "bus/pci/drivers/%.63s/bind", driver);
        else
                (void)snprintf(path, sizeof(path), "bus/pci/drivers_probe");
        r = host->ops->store(host, host->sys_fd, path, address);
        pci_read_driver(host, address, now);
        if (driver && !streq(now, driver))
                return error_set(error, -ERROR_DRIVER_REJECTED,
                                 "PCI device %s is free again, but its driver '%s' did not take it back%s%s", address,
                                 driver, r < 0 ? ": " : "", r < 0 ? strerrordesc_np(-r) ?: "unknown error" : "");

        return 0;
}
