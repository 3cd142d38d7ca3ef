/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * VF: vGPUs that are virtual functions of a card, each handed to a vfio driver as it is. What the backends have in common
 * whose functions are so used; they differ in how a function is provisioned.
 */

#include "backend/passthrough.h"

/* The type "a virtual function as it is", and the functions that are vGPUs, of that type or the one of their claim. */
int vf_read(const Host *host, const char *gpu, GpuReport *report, Error *error);
/* provision, here and below, may be NULL; its gpu and number are filled in. */
int vf_create(const Host *host, const char *gpu, const char *parent, const char *vfio_driver, const char *type_id,
              const char *uuid, const Provision *provision, VGpuReport *ret_vgpu, Error *error);
/* ret_number counts from 1; NULL: nobody asks. */
int vf_find(const Host *host, const char *gpu, const char *uuid, VGpuReport *ret_vgpu, unsigned *ret_number,
            Error *error);
int vf_remove(const Host *host, const char *gpu, const char *uuid, const Provision *provision, Error *error);
/* Functions that somebody was about to take or to give back when he was killed. */
void vf_recover(const Host *host, const char *gpu, const Provision *provision);
/* Functions that could be handed over now. */
uint32_t vf_count_free(const Host *host, const char *gpu);
int vf_read_counts(const Host *host, const char *gpu, TypeCount **ret_counts, size_t *ret_n_counts, Error *error);
