/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * PlacementView: the model's GPUs as placement sees them, at this moment: valid until anything happens.
 */

#include "core/manager.h"
#include "core/placement.h"

typedef struct PlacementView {
        PlacementGpu *gpus;
        Gpu **objects; /* what gpus[i] is */
        size_t n;
} PlacementView;

/* All GPUs; those that rules exclude, or that make nothing at present, with their problem. */
int placement_view_new(const Manager *manager, const PlacementRules *rules, PlacementView *ret);
void placement_view_done(PlacementView *view);

/* The index of the type that the word means on each GPU, -1 where it means none; freed by the caller. */
int placement_view_find(const PlacementView *view, const char *type, int **ret_types);
