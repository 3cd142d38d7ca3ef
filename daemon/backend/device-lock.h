/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Device lock: a process is about to take or to give back a PCI device, or to change its virtual functions. What it wrote
 * down of that is its own as long as it lives: a worker may outlive its daemon, and a removal has one to itself. A file in
 * /run/mdevgpud/locks, which goes with the lock.
 */

#include "core/backend.h"

typedef struct DeviceLock {
        const Host *host;
        int fd;
        char address[SYSFS_NAME_SIZE];
} DeviceLock;

#define DEVICE_LOCK_NULL                                                                                               \
        { .fd = -EBADF }

/* -EWOULDBLOCK: another process is at it. Released with device_unlock(), as the cleanup attribute does. */
int device_lock(const Host *host, const char *address, DeviceLock *ret_lock);
void device_unlock(DeviceLock *lock);

/* -ERROR_BUSY, or that it cannot be locked. */
int device_lock_explain(int code, const char *address, Error *error);
