/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <sys/stat.h>

#include "backend/device-lock.h"
#include "util/file.h"
#include "util/text.h"

#define FOLDER "locks"

int device_lock(const Host *host, const char *address, DeviceLock *ret_lock) {
        _cleanup_(fd_closep) int folder_fd = -EBADF;
        int fd;

        if (host->run_fd < 0)
                return host->run_fd;
        if (mkdirat(host->run_fd, FOLDER, 0700) < 0 && errno != EEXIST)
                return negative_errno();
        folder_fd = directory_open(host->run_fd, FOLDER);
        fd = folder_fd < 0 ? folder_fd : file_lock(folder_fd, address);
        if (fd < 0)
                return fd;

        *ret_lock = (DeviceLock){ .host = host, .fd = fd };
        (void)text_copy(ret_lock->address, sizeof(ret_lock->address), address);
        return 0;
}

void device_unlock(DeviceLock *lock) {
        _cleanup_(fd_closep) int folder_fd = -EBADF;

        if (lock->fd < 0)
                return;

        folder_fd = directory_open(lock->host->run_fd, FOLDER);
        if (folder_fd >= 0)
                file_unlock(folder_fd, lock->address, lock->fd);
        else
                (void)close(lock->fd);
        lock->fd = -EBADF;
}

int device_lock_explain(int code, const char *address, Error *error) {
        if (code == -EWOULDBLOCK)
                return error_set(error, -ERROR_BUSY,
                                 "PCI device %s is being changed by another worker process; try again in a moment",
                                 address);

        return error_set(error, -EIO, "That PCI device %s is being changed cannot be written to /run/mdevgpud: %s",
                         address, strerrordesc_np(-code) ?: "unknown error");
}
