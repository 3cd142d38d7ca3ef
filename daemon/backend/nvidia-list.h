/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * NVIDIA's types on vendor-specific VFIO: what the functions of one card list as creatable, at this moment. A list names
 * only what can be made right now, so that a name once read is kept, in /run/mdevgpud/types/ADDRESS, for when nothing of it
 * is left.
 */

#include "backend/pci.h"

/* Far over what any card lists. */
#define NVIDIA_LIST_MAX 128U

typedef struct NvidiaListed {
        uint32_t id;
        char name[96];
        uint32_t n_functions; /* that list it */
} NvidiaListed;

typedef struct NvidiaList {
        size_t n;
        NvidiaListed items[NVIDIA_LIST_MAX];
} NvidiaList;

/* Of all these functions; and keeps what is new. Sorted by id. */
void nvidia_list_read(const Host *host, const char *gpu, const PciAddress *vfs, size_t n_vfs, NvidiaList *ret_types);

/* Whether one function lists it, read at this moment. */
bool nvidia_list_has(const Host *host, const char *vf, uint32_t id);

/* NULL: no such. */
NvidiaListed *nvidia_list_find(NvidiaList *types, uint32_t id);
/* Adds one without a name, if it is not there. NULL: there is no room. */
NvidiaListed *nvidia_list_add(NvidiaList *types, uint32_t id);

/* Bytes, by the name's grammar "<GPU>-<GB><A|B|C|Q>" or, with MIG, "<GPU>-<slices>-<GB><…>"; UNKNOWN_U64: it is another. */
uint64_t nvidia_name_parse_framebuffer(const char *name);
