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

/* True if path, below /sys, is a device in the folder of one of the GPU's parents. */
bool mdev_parents_hold(const Host *host, const char *gpu, const char *path);
