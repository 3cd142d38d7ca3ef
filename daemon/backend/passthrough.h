/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Passthrough: a PCI device, a whole card or one of its virtual functions, that a vfio driver has is a vGPU; here is how
 * one is taken, seen and given back.
 */

#include "backend/claim.h"

/* 1: the device is a vGPU, described in *ret_vgpu; 0: it is none. */
int passthrough_read(const Host *host, const char *address, const char *type_id, VGpuKind kind, VGpuReport *ret_vgpu);

/* Hands the functions, the first of which is the vGPU, to a vfio driver: all, or they are given back. */
int passthrough_take(const Host *host, const PciAddress *functions, size_t n_functions, const char *vfio_driver,
                     const char *type_id, const char *uuid, Error *error);

/* Gives it back, with what was taken with it. Waits for whoever holds it. */
int passthrough_give_back(const Host *host, const char *address, Error *error);

/* Fills what is the same of each. */
void passthrough_describe(const Host *host, const char *address, const char *type_id, VGpuKind kind,
                          VGpuReport *ret_vgpu);
