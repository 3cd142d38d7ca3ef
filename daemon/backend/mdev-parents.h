/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * mdev parents: which devices of one GPU are parents of mdevs: the card, its virtual functions, or neither.
 */

#include "core/backend.h"

/* PCI Express allows 65535 virtual functions; no GPU comes near this. */
#define MDEV_PARENTS_MAX 257U

typedef struct MdevParents {
        char names[MDEV_PARENTS_MAX][64];
        size_t n;
} MdevParents;

void mdev_parents_read(const Host *host, const char *gpu, MdevParents *ret_parents);

/* The one of the GPU's parents in whose folder the device lies that path, a link below /sys, points to; or false. */
bool mdev_parents_find(const Host *host, const char *gpu, const char *path, char ret_parent[static SYSFS_NAME_SIZE]);
