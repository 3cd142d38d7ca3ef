/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Passthrough: a PCI device, a whole card or one of its virtual functions, that a vfio driver has is a vGPU; here is how
 * one is taken, seen and given back.
 */

#include "backend/claim.h"

/* 1: the device is a vGPU, described in *ret_vgpu; 0: it is none. */
int passthrough_read(const Host *host, const char *address, const char *type_id, VGpuKind kind, VGpuReport *ret_vgpu);

/* How a device is made ready for what it becomes, before a vfio driver has it, and how that is undone when none has it any
 * more. restore is called with what save found, more than once if somebody is killed. */
typedef struct Provision {
        void (*save)(const struct Provision *p, const Host *host, Claim *claim);
        int (*apply)(const struct Provision *p, const Host *host, const Claim *claim, Error *error);
        void (*restore)(const struct Provision *p, const Host *host, const Claim *claim);
        const char *gpu;
        unsigned number; /* of the virtual function, from 1 on */
        const void *wanted;
} Provision;

/* Hands the functions, the first of which is the vGPU, to a vfio driver: all, or they are given back. provision may be NULL:
 * there is nothing to make ready. */
int passthrough_take(const Host *host, const PciAddress *functions, size_t n_functions, const char *vfio_driver,
                     const char *type_id, const char *uuid, const Provision *provision, Error *error);

/* Gives it back, with what was taken with it. Waits for whoever holds it. */
int passthrough_give_back(const Host *host, const char *address, const Provision *provision, Error *error);

/* Whoever took it or gave it back was killed in the middle of that: it is put back as it was. */
void passthrough_recover(const Host *host, const char *address, const Provision *provision);
/* Somebody is at it, or will be when it is recovered. */
bool passthrough_is_busy(const Host *host, const char *address);

/* Fills what is the same of each. */
void passthrough_describe(const Host *host, const char *address, const char *type_id, VGpuKind kind,
                          VGpuReport *ret_vgpu);
