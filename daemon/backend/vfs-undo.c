/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>
#include <sys/stat.h>

#include "backend/vfs-undo.h"
#include "util/file.h"
#include "util/text.h"

#define FOLDER "vfs"
#define UNDO_SIZE 256U

int vfs_undo_write(const Host *host, const char *gpu, const VfsUndo *undo) {
        _cleanup_(fd_closep) int folder_fd = -EBADF;
        char text[UNDO_SIZE];

        if (host->run_fd < 0)
                return host->run_fd;
        if (mkdirat(host->run_fd, FOLDER, 0700) < 0 && errno != EEXIST)
                return negative_errno();
        folder_fd = directory_open(host->run_fd, FOLDER);
        if (folder_fd < 0)
                return folder_fd;

        (void)snprintf(text, sizeof(text), "%" PRIu64 " %" PRIu32 " %" PRIu32 " %s\n", pci_read_incarnation(host, gpu),
                       undo->num_vfs, undo->autoprobe, undo->driver);
        return file_replace(folder_fd, gpu, text);
}

static void format_path(const char *gpu, char buffer[static PCI_ADDRESS_SIZE + sizeof(FOLDER)]) {
        (void)snprintf(buffer, PCI_ADDRESS_SIZE + sizeof(FOLDER), FOLDER "/%.63s", gpu);
}

void vfs_undo_remove(const Host *host, const char *gpu) {
        char path[PCI_ADDRESS_SIZE + sizeof(FOLDER)];

        format_path(gpu, path);
        if (host->run_fd >= 0)
                (void)unlinkat(host->run_fd, path, 0);
}

int vfs_undo_read(const Host *host, const char *gpu, VfsUndo *ret_undo) {
        char path[PCI_ADDRESS_SIZE + sizeof(FOLDER)], text[UNDO_SIZE];
        uint64_t incarnation;
        VfsUndo undo = {};

        format_path(gpu, path);
        if (host->run_fd < 0 || attribute_read(host->run_fd, path, text, sizeof(text)) <= 0 ||
            sscanf(text, "%" SCNu64 " %" SCNu32 " %" SCNu32 " %63s", &incarnation, &undo.num_vfs, &undo.autoprobe,
                   undo.driver) != 4 ||
            incarnation != pci_read_incarnation(host, gpu))
                return -ENOENT;

        *ret_undo = undo;
        return 0;
}
