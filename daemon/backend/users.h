/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Users: who holds a vGPU open, found by what /proc says of every process's descriptors. The device itself is never
 * opened to find out: that runs vendor code and makes a VM that starts at that moment fail (EBUSY).
 */

#include "core/backend.h"

/*
 * iommu_group, unless it is negative, is the vGPU's where its own link is gone, as from the moment its removal begins.
 *
 * Processes that hold the vGPU's VFIO group or character device, or its device descriptor where fdinfo names the device
 * (kernel 6.18 and later). Needs CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH to see other users' processes. At most
 * REPORT_USERS_MAX of them. A process that keeps only the device descriptor, on an older kernel, is not found.
 */
int users_find(const Host *host, const char *uuid, int32_t iommu_group, User **ret_users, size_t *ret_n_users);

/* "process 4711 (qemu-system-x86 of VM web1, uid 64055, machine-qemu.scope), …", as many as fit: for a sentence. */
void users_describe(const User *users, size_t n_users, char *buffer, size_t size);
