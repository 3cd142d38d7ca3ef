/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Users: who holds a vGPU open, found by what /proc says of every process's descriptors. The device itself is never
 * opened to find out: that runs vendor code and makes a VM that starts at that moment fail (EBUSY).
 */

#include "core/backend.h"

#define USERS_NODES_MAX 16U

typedef struct UsersNode {
        char path[64]; /* below /dev */
} UsersNode;

/*
 * device is a link below /sys: bus/mdev/devices/UUID, bus/pci/devices/ADDRESS. iommu_group, unless it is negative, is the
 * device's where its own link is gone, as from the moment an mdev's removal begins.
 *
 * Processes that hold its VFIO group or character device, or its device descriptor where fdinfo names the device (kernel
 * 6.18 and later). Needs CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH to see other users' processes. At most REPORT_USERS_MAX of
 * them. A process that keeps only the device descriptor, on an older kernel, is not found. libvirt's own daemons, which open the
 * group alone while they have its device removed, are none.
 */
int users_find(const Host *host, const char *device, int32_t iommu_group, User **ret_users, size_t *ret_n_users);

/* Processes that hold any of these nodes; those below vfio/ and dri/ and NVIDIA's are looked for. */
int users_find_nodes(const Host *host, const UsersNode *paths, size_t n_paths, User **ret_users, size_t *ret_n_users);

/* "process 4711 (qemu-system-x86 of VM web1, uid 64055, machine-qemu.scope), …", as many as fit: for a sentence. */
void users_describe(const User *users, size_t n_users, char *buffer, size_t size);
