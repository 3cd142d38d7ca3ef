/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * VFs: how many virtual functions a card has, and changing that: through sriov_numvfs, or through NVIDIA's own program,
 * as NVIDIA's driver refuses the write.
 */

#include "backend/pci.h"

/* 0 of 0: it is no card with virtual functions. */
void vfs_read_counts(const Host *host, const char *gpu, uint32_t *ret_num, uint32_t *ret_max);

/* Whoever changed it was killed in the middle of that: what he found is put back. */
void vfs_recover(const Host *host, const char *gpu);

/* Nobody has a vGPU there, as the caller has made sure. Proves the outcome, whatever was answered. attributes, which may
 * be NULL, are written for all functions before they are enabled. sriov_manage is the path
 * of NVIDIA's program; "": where its package puts it. */
int vfs_enable(const Host *host, const char *gpu, uint32_t n, const Attributes *attributes, const char *sriov_manage,
               Error *error);
