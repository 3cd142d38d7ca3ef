/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * NVIDIA's types on vendor-specific VFIO: what the functions of one card list as creatable, at this moment. A list names
 * only what can be made right now, so that a name once read is kept, in /run/mdevgpud/types/ADDRESS, for when nothing of it
 * is left.
 */

#include "backend/pci.h"

/* Far over what any card lists. */
#define NVIDIA_TYPES_MAX 128U

typedef struct NvidiaType {
        uint32_t id;
        char name[96];
        uint32_t n_functions; /* that list it */
} NvidiaType;

typedef struct NvidiaTypes {
        size_t n;
        NvidiaType items[NVIDIA_TYPES_MAX];
} NvidiaTypes;

/* Of all these functions; and keeps what is new. Sorted by id. */
void nvidia_types_read(const Host *host, const char *gpu, const PciAddress *vfs, size_t n_vfs, NvidiaTypes *ret_types);

/* Whether one function lists it, read at this moment. */
bool nvidia_type_is_creatable(const Host *host, const char *vf, uint32_t id);

/* NULL: no such. */
NvidiaType *nvidia_types_find(NvidiaTypes *types, uint32_t id);
/* Adds one without a name, if it is not there. NULL: there is no room. */
NvidiaType *nvidia_types_add(NvidiaTypes *types, uint32_t id);

/* Bytes, by the name's grammar "<GPU>-<GB><A|B|C|Q>" or, with MIG, "<GPU>-<slices>-<GB><…>"; UNKNOWN_U64: it is another. */
uint64_t nvidia_name_parse_framebuffer(const char *name);
