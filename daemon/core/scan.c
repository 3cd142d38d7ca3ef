/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>

#include "core/scan.h"
#include "util/file.h"
#include "util/text.h"

/* include/linux/pci_ids.h: PCI_BASE_CLASS_DISPLAY; PCI_CLASS_ACCELERATOR_PROCESSING, AMD Instinct's. */
#define PCI_BASE_CLASS_DISPLAY 0x03U
#define PCI_CLASS_ACCELERATOR_PROCESSING 0x1200U

#define PATH_SIZE (SYSFS_NAME_SIZE + 64U)

bool scan_class_is_display(uint32_t class) {
        return class >> 16 == PCI_BASE_CLASS_DISPLAY || class >> 8 == PCI_CLASS_ACCELERATOR_PROCESSING;
}

static uint32_t read_pci_number(const Host *host, const char *name, const char *attribute, uint32_t max) {
        char path[PATH_SIZE];
        uint64_t value;

        (void)snprintf(path, sizeof(path), "bus/pci/devices/%s/%s", name, attribute);
        return attribute_read_number(host->sys_fd, path, max, &value) < 0 ? 0 : (uint32_t)value;
}

static bool is_pci(const Host *host, const char *name) {
        char path[PATH_SIZE];

        (void)snprintf(path, sizeof(path), "bus/pci/devices/%s", name);
        return path_exists(host->sys_fd, path);
}

static bool is_mdev_parent(const Host *host, const char *name) {
        char path[PATH_SIZE];

        (void)snprintf(path, sizeof(path), "class/mdev_bus/%s", name);
        return path_exists(host->sys_fd, path);
}

static int read_physfn(const Host *host, const char *name, char *buffer, size_t size) {
        char path[PATH_SIZE];

        (void)snprintf(path, sizeof(path), "bus/pci/devices/%s/physfn", name);
        return link_read_basename(host->sys_fd, path, buffer, size);
}

/* The numbers within a domain that PCI's messages go by: bus, device and function. */
static bool parse_address(const char *name, unsigned *ret_domain, unsigned *ret_number) {
        unsigned bus, device, function;

        if (sscanf(name, "%x:%x:%x.%x", ret_domain, &bus, &device, &function) != 4)
                return false;

        *ret_number = bus << 8 | device << 3 | function;
        return true;
}

/* PCI Express, single root I/O virtualization: the n-th is at the card's number, and an offset, and n strides. */
bool scan_is_vf_of(const Host *host, const char *name, const char *card) {
        uint32_t n = read_pci_number(host, card, "sriov_totalvfs", UINT16_MAX);
        uint32_t offset = read_pci_number(host, card, "sriov_offset", UINT16_MAX);
        uint32_t stride = read_pci_number(host, card, "sriov_stride", UINT16_MAX);
        unsigned domain, number, card_domain, first;

        if (n == 0 || offset == 0 || !parse_address(name, &domain, &number) ||
            !parse_address(card, &card_domain, &first) || domain != card_domain || number < first + offset)
                return false;

        number -= first + offset;
        return stride == 0 ? number == 0 : number % stride == 0 && number / stride < n;
}

/* A card is a GPU too if only its virtual functions are mdev parents. */
static bool has_mdev_vf(const Host *host, const char *name) {
        _cleanup_(dir_closep) DIR *dir = NULL;
        char path[PATH_SIZE], vf[SYSFS_NAME_SIZE];
        struct dirent *entry;

        (void)snprintf(path, sizeof(path), "bus/pci/devices/%s/virtfn0", name);
        if (!path_exists(host->sys_fd, path))
                return false;

        (void)snprintf(path, sizeof(path), "bus/pci/devices/%s", name);
        if (directory_list(host->sys_fd, path, &dir) < 0)
                return false;

        while ((entry = directory_next(dir)))
                if (strncmp(entry->d_name, "virtfn", 6) == 0 &&
                    link_read_basename(dirfd(dir), entry->d_name, vf, sizeof(vf)) >= 0 && is_mdev_parent(host, vf))
                        return true;

        return false;
}

int scan_resolve(const Host *host, const char *name, char ret_gpu[static SYSFS_NAME_SIZE]) {
        if (!text_is_name(name))
                return -ENODEV;

        if (is_pci(host, name)) {
                if (read_physfn(host, name, ret_gpu, SYSFS_NAME_SIZE) < 0)
                        (void)text_copy(ret_gpu, SYSFS_NAME_SIZE, name);
                return 0;
        }

        if (!is_mdev_parent(host, name))
                return -ENODEV;

        (void)text_copy(ret_gpu, SYSFS_NAME_SIZE, name);
        return 0;
}

static int identify_pci(const Host *host, const char *name, GpuIdentity *ret_identity) {
        char physfn[SYSFS_NAME_SIZE];
        GpuIdentity identity = { .pci = true };

        identity.class = read_pci_number(host, name, "class", 0xffffff);
        if (read_physfn(host, name, physfn, sizeof(physfn)) >= 0)
                return 0;
        if (!scan_class_is_display(identity.class) && !is_mdev_parent(host, name) && !has_mdev_vf(host, name))
                return 0;

        (void)text_copy(identity.address, sizeof(identity.address), name);
        identity.vendor = (uint16_t)read_pci_number(host, name, "vendor", UINT16_MAX);
        identity.device = (uint16_t)read_pci_number(host, name, "device", UINT16_MAX);
        identity.subsystem_vendor = (uint16_t)read_pci_number(host, name, "subsystem_vendor", UINT16_MAX);
        identity.subsystem_device = (uint16_t)read_pci_number(host, name, "subsystem_device", UINT16_MAX);
        *ret_identity = identity;
        return 1;
}

int scan_identify(const Host *host, const char *name, GpuIdentity *ret_identity) {
        if (!text_is_name(name))
                return 0;
        if (is_pci(host, name))
                return identify_pci(host, name, ret_identity);
        if (!is_mdev_parent(host, name))
                return 0;

        *ret_identity = (GpuIdentity){};
        (void)text_copy(ret_identity->address, sizeof(ret_identity->address), name);
        return 1;
}

static int scan_directory(const Host *host, const char *path, int (*found)(const GpuIdentity *, void *),
                          void *userdata) {
        _cleanup_(dir_closep) DIR *dir = NULL;
        struct dirent *entry;
        int r;

        r = directory_list(host->sys_fd, path, &dir);
        if (r == -ENOENT) /* no PCI bus; or no mdev parent yet, before which the class does not exist */
                return 0;
        if (r < 0)
                return r;

        while ((entry = directory_next(dir))) {
                char name[SYSFS_NAME_SIZE];
                GpuIdentity identity;

                if (scan_resolve(host, entry->d_name, name) < 0 || scan_identify(host, name, &identity) <= 0)
                        continue;

                r = found(&identity, userdata);
                if (r < 0)
                        return r;
        }

        return 0;
}

int scan_gpus(const Host *host, int (*found)(const GpuIdentity *identity, void *userdata), void *userdata) {
        int r;

        r = scan_directory(host, "bus/pci/devices", found, userdata);
        if (r >= 0)
                r = scan_directory(host, "class/mdev_bus", found, userdata);

        return r;
}

static uint64_t read_incarnation(const Host *host, const char *path, int flags) {
        struct statx st;

        if (statx(host->sys_fd, path, flags, STATX_INO | STATX_BTIME, &st) < 0)
                return 0;

        /* The number of a folder in sysfs, which has no time of birth, is not used again before 2^32 others were (kernel
         * 6.12, kernfs). The file systems that a simulated machine lies on use it at once, and have one. */
        return st.stx_mask & STATX_BTIME
                       ? st.stx_ino ^ ((uint64_t)st.stx_btime.tv_sec * 1000000000U + st.stx_btime.tv_nsec)
                       : st.stx_ino;
}

uint64_t scan_incarnation(const Host *host, const char *path) {
        return read_incarnation(host, path, 0);
}

/* Of the link to the driver, which is made when it is bound. */
uint64_t scan_binding(const Host *host, const char *name) {
        char path[PATH_SIZE];

        (void)snprintf(path, sizeof(path), "bus/pci/devices/%s/driver", name);
        return read_incarnation(host, path, AT_SYMLINK_NOFOLLOW);
}

int scan_numa_node(const Host *host, const char *name) {
        char path[PATH_SIZE];
        uint64_t value;

        /* The PCI core says -1 of one that it knows no node of, which is no number here. */
        (void)snprintf(path, sizeof(path), "bus/pci/devices/%s/numa_node", name);
        return attribute_read_number(host->sys_fd, path, INT16_MAX, &value) < 0 ? -1 : (int)value;
}

bool scan_has_numa_node(const Host *host, uint32_t node) {
        char path[PATH_SIZE];

        (void)snprintf(path, sizeof(path), "devices/system/node/node%" PRIu32, node);
        return faccessat(host->sys_fd, path, F_OK, 0) >= 0 ||
               faccessat(host->sys_fd, "devices/system/node", F_OK, 0) < 0;
}

uint64_t scan_registration(const Host *host, const char *parent) {
        char path[PATH_SIZE];
        uint64_t number;

        (void)snprintf(path, sizeof(path), "class/mdev_bus/%s/mdev_supported_types", parent);
        number = scan_incarnation(host, path);
        if (number != 0)
                return number;

        /* A device that is itself what a vGPU is. */
        (void)snprintf(path, sizeof(path), "bus/pci/devices/%s", parent);
        return scan_incarnation(host, path);
}
