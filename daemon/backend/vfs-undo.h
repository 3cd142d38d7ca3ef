/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * VfsUndo: what a card said before its virtual functions are changed, in /run/mdevgpud/vfs/ADDRESS while that goes on. Who
 * is killed in the middle of it leaves the file, and whoever reads the card next puts back what it says.
 */

#include "backend/pci.h"

typedef struct VfsUndo {
        char driver[PCI_DRIVER_SIZE]; /* that the card has: of another one's nothing is put back */
        uint32_t num_vfs; /* to be had again if there are none; 0: it shall stay so */
        uint32_t autoprobe; /* sriov_drivers_autoprobe */
} VfsUndo;

int vfs_undo_write(const Host *host, const char *gpu, const VfsUndo *undo);
void vfs_undo_remove(const Host *host, const char *gpu);
/* -ENOENT: there is none of the device that is there now. */
int vfs_undo_read(const Host *host, const char *gpu, VfsUndo *ret_undo);
