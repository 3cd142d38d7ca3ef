/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "backend/card.h"
#include "backend/users.h"
#include "util/file.h"
#include "util/text.h"

#define PATH_SIZE 512U

/* include/linux/pci_ids.h: PCI_BASE_CLASS_BRIDGE. A bridge in a group stays with its driver (kernel 6.12,
 * drivers/vfio/vfio_iommu_type1.c and drivers/iommu/iommu.c: pcieport does no DMA of its own). */
#define PCI_BASE_CLASS_BRIDGE 0x06U

static bool has_function(const Card *card, const char *address) {
        for (size_t i = 0; i < card->n_functions; i++)
                if (streq(card->functions[i].name, address))
                        return true;

        return false;
}

static _printf_(3, 4) void object(Card *card, int code, const char *format, ...) {
        va_list ap;

        card->code = code;
        va_start(ap, format);
        (void)vsnprintf(card->reason, sizeof(card->reason), format, ap);
        va_end(ap);
}

/* Whoever shares the group has its memory open to the same virtual machine: nobody on the host may use it. */
static void judge_group(const Host *host, int32_t group, Card *card) {
        _cleanup_(dir_closep) DIR *dir = NULL;
        char path[PATH_SIZE], driver[PCI_DRIVER_SIZE];
        struct dirent *entry;

        (void)snprintf(path, sizeof(path), "kernel/iommu_groups/%i/devices", (int)group);
        if (directory_list(host->sys_fd, path, &dir) < 0) {
                object(card, -ERROR_NOT_SUPPORTED, "what else is in its IOMMU group %i cannot be read", (int)group);
                return;
        }

        while (card->code == 0 && (entry = directory_next(dir))) {
                const char *name = entry->d_name;

                if (has_function(card, name) || pci_read_number(host, name, "class", 0) >> 16 == PCI_BASE_CLASS_BRIDGE)
                        continue;
                pci_read_driver(host, name, driver);
                if (driver[0] != '\0' && !streq(driver, "pci-stub") && !pci_driver_is_vfio(driver))
                        object(card, -ERROR_NOT_SUPPORTED,
                               "it shares IOMMU group %i with %.63s, which the host uses by its driver '%s'",
                               (int)group, name, driver);
        }
}

static void judge_groups(const Host *host, Card *card) {
        for (size_t i = 0; card->code == 0 && i < card->n_functions; i++) {
                const char *name = card->functions[i].name;
                int32_t group = pci_read_group(host, name);

                if (group < 0)
                        object(card, -ERROR_NOT_SUPPORTED, "its function %s is behind no IOMMU", name);
                else
                        judge_group(host, group, card);
        }
}

/* A connector of one of its DRM devices that a picture goes out of. */
static bool find_picture(const Host *host, const char *gpu, const char *drm, char *ret_connector, size_t size) {
        _cleanup_(dir_closep) DIR *dir = NULL;
        char path[PATH_SIZE], text[32];
        struct dirent *entry;

        (void)snprintf(path, sizeof(path), "bus/pci/devices/%.63s/drm/%.63s", gpu, drm);
        if (directory_list(host->sys_fd, path, &dir) < 0)
                return false;

        while ((entry = directory_next(dir))) {
                (void)snprintf(path, sizeof(path), "%.255s/enabled", entry->d_name);
                if (strncmp(entry->d_name, drm, strlen(drm)) != 0 ||
                    attribute_read(dirfd(dir), path, text, sizeof(text)) <= 0 || !streq(text, "enabled"))
                        continue;
                (void)text_copy(ret_connector, size, entry->d_name);
                return true;
        }

        return false;
}

static void judge_display(const Host *host, const char *gpu, Card *card) {
        _cleanup_(dir_closep) DIR *dir = NULL;
        char path[PATH_SIZE], connector[64];
        struct dirent *entry;

        if (pci_read_number(host, gpu, "boot_vga", 0) == 1) {
                object(card, -ERROR_IN_USE, "it is the display that the machine booted on");
                card->display = true;
                return;
        }

        (void)snprintf(path, sizeof(path), "bus/pci/devices/%.63s/drm", gpu);
        if (directory_list(host->sys_fd, path, &dir) < 0)
                return;
        while (card->code == 0 && (entry = directory_next(dir)))
                if (find_picture(host, gpu, entry->d_name, connector, sizeof(connector))) {
                        object(card, -ERROR_IN_USE, "it shows a picture, on %s", connector);
                        card->display = true;
                }
}

static void judge_module(const Host *host, Card *card) {
        if (!pci_driver_is_loaded(host, PCI_VFIO_DRIVER))
                object(card, -ERROR_NOT_SUPPORTED,
                       "the kernel module vfio-pci is not loaded: load it, and name it in /etc/modules-load.d");
}

void card_judge_function(const Host *host, const char *address, Card *ret_card) {
        Card card = { .n_functions = 1 };

        (void)text_copy(card.functions[0].name, PCI_ADDRESS_SIZE, address);
        judge_module(host, &card);
        judge_groups(host, &card);
        *ret_card = card;
}

void card_judge(const Host *host, const char *gpu, Card *ret_card) {
        Card card = {};
        uint32_t n_vfs;

        card.n_functions = pci_read_functions(host, gpu, card.functions);
        n_vfs = pci_read_number(host, gpu, "sriov_numvfs", 0);
        judge_module(host, &card);
        if (card.code == 0 && n_vfs > 0)
                object(&card, -ERROR_BUSY, "it is divided into %u virtual functions", n_vfs);
        judge_groups(host, &card);
        if (card.code == 0)
                judge_display(host, gpu, &card);

        *ret_card = card;
}

void card_describe(const Host *host, const Card *card, char *buffer, size_t size) {
        char path[PATH_SIZE], methods[128];
        size_t n;

        /* Kernel 5.15 and later; what is not there cannot be reset between two guests. */
        (void)snprintf(path, sizeof(path), "bus/pci/devices/%s/reset_method", card->functions[0].name);
        attribute_read_text(host->sys_fd, path, methods, sizeof(methods));
        n = (size_t)snprintf(buffer, size, "IOMMU group %i; reset: %s",
                             (int)pci_read_group(host, card->functions[0].name), methods[0] != '\0' ? methods : "none");
        for (size_t i = 1; i < card->n_functions && n < size; i++)
                n += (size_t)snprintf(buffer + n, size - n, "%s %s", i > 1 ? "," : "; with", card->functions[i].name);
}

/* /proc/driver/nvidia/gpus/ADDRESS/information, as NVIDIA's driver has it (vendor-documented, 580): its node's number. */
static bool find_nvidia_node(const Host *host, const char *gpu, UsersNode *ret_node) {
        char path[PATH_SIZE], text[2048], *line;
        unsigned minor;

        (void)snprintf(path, sizeof(path), "driver/nvidia/gpus/%.63s/information", gpu);
        if (attribute_read(host->proc_fd, path, text, sizeof(text)) <= 0)
                return false;
        line = strstr(text, "Device Minor:");
        if (!line || sscanf(line, "Device Minor: %u", &minor) != 1)
                return false;

        (void)snprintf(ret_node->path, sizeof(ret_node->path), "nvidia%u", minor);
        return true;
}

int card_check_users(const Host *host, const char *gpu, Error *error) {
        _cleanup_(dir_closep) DIR *dir = NULL;
        _cleanup_(freep) User *users = NULL;
        char path[PATH_SIZE], text[320];
        UsersNode nodes[USERS_NODES_MAX];
        size_t n_nodes = 0, n_users;
        struct dirent *entry;
        int r;

        (void)snprintf(path, sizeof(path), "bus/pci/devices/%.63s/drm", gpu);
        if (directory_list(host->sys_fd, path, &dir) >= 0)
                while (n_nodes < USERS_NODES_MAX - 1 && (entry = directory_next(dir)))
                        (void)snprintf(nodes[n_nodes++].path, sizeof(nodes[0].path), "dri/%.50s", entry->d_name);
        if (find_nvidia_node(host, gpu, &nodes[n_nodes]))
                n_nodes++;
        if (n_nodes == 0)
                return 0;

        r = users_find_nodes(host, nodes, n_nodes, &users, &n_users);
        if (r < 0)
                return error_set_errno(error, r, "it cannot be seen who uses the card");
        if (n_users == 0)
                return 0;

        users_describe(users, n_users, text, sizeof(text));
        return error_set(error, -ERROR_IN_USE, "GPU %s is in use by %s; stop that first", gpu, text);
}
