/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Placement: on which GPU a vGPU goes that may go on several. It sees plain values alone and touches nothing.
 *
 * What the driver counts as available is believed as long as nothing else happens on the GPU. What is being made beside
 * it, and what a plan removes before, is reckoned with as far as sizes are known; where they are not, it is assumed to
 * fit, and the driver has the last word.
 */

#include "core/backend.h"

typedef enum PlacementOrder {
        PLACEMENT_BREADTH_FIRST, /* where most room is left: load is spread */
        PLACEMENT_DEPTH_FIRST, /* where least room is left: whole GPUs stay free */
        PLACEMENT_ORDER_MAX,
        PLACEMENT_ORDER_INVALID = -EINVAL,
} PlacementOrder;

const char *placement_order_to_string(PlacementOrder o); /* "breadth-first", "depth-first" */

/* What an administrator says of all placement. */
typedef struct PlacementRules {
        PlacementOrder order;
        char **excluded; /* glob(7) patterns over sysfs names of GPUs on which nothing is placed */
        size_t n_excluded;
} PlacementRules;

typedef struct PlacementType {
        const char *id;
        uint64_t framebuffer; /* bytes; UNKNOWN_U64 */
        uint32_t max; /* instances there can be; UNKNOWN_U32: only size limits them */
        uint32_t available; /* as the driver counts; 0 of a type of which none can be made */
        uint32_t used; /* vGPUs of it that exist */
        uint32_t leaving; /* of these, those that are removed before anything is made */
        uint32_t reserved; /* those being made, or to be made, that the driver does not count yet */
} PlacementType;

typedef struct PlacementGpu {
        const char *address;
        int numa_node; /* -1: not known */
        uint64_t framebuffer; /* bytes; UNKNOWN_U64 */
        bool mixed; /* takes vGPUs of several types at once; if not, those of one */
        const char *problem; /* why nothing goes there at all; NULL: nothing speaks against it */
        PlacementType *types;
        size_t n_types;
} PlacementGpu;

/* One vGPU to be placed: which of its types each GPU would make; -1: none, it may not go there. */
typedef struct PlacementItem {
        const int *types;
        int numa_node; /* preferred; -1: none is */
} PlacementItem;

/* Whether one more vGPU of its types[type] fits. */
bool placement_has_room(const PlacementGpu *gpu, size_t type);

/* How many more. */
uint32_t placement_room(const PlacementGpu *gpu, size_t type);

/*
 * The GPU to take; -ENOSPC: none has room. In this order: one on which the vGPU would not be the first of its type among
 * others; one on the preferred NUMA node; the one with most room left, or least; the one with fewest vGPUs, or most; the
 * first.
 */
int placement_choose(const PlacementGpu *gpus, size_t n_gpus, const PlacementItem *item, PlacementOrder order);

/*
 * Places all items, or none. ret_gpus[i] is where items[i] goes, and the reservations say so. Each goes where
 * placement_choose() has it if that works out for all; else any way in which all fit is taken. Items that are alike
 * should follow each other and share their types. -ENOSPC: there is no such way; -E2BIG: none was found, and not all were
 * tried.
 */
int placement_assign(PlacementGpu *gpus, size_t n_gpus, const PlacementItem *items, size_t n_items,
                     PlacementOrder order, size_t *ret_gpus);

/* Why there is no room: what is free where, and what would have to go. Always -ERROR_NO_INSTANCES. */
int placement_explain(const PlacementGpu *gpus, size_t n_gpus, const PlacementItem *item, const char *type,
                      Error *error);
