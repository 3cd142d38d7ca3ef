/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Counts: what the types of a GPU's mdev parents have left, read again after each creation. The attributes stay open, as
 * opening each of them takes ten times as long as reading it and a card may have dozens of types.
 */

#include "core/backend.h"

typedef struct MdevCounts MdevCounts;

/* A type of several parents is one row, its instances added up. */
int mdev_counts_read(BackendContext *c, TypeCount **ret_counts, size_t *ret_n_counts, Error *error);

MdevCounts *mdev_counts_free(MdevCounts *counts);

/* Of what may be unknown, which is then what the sum is. */
uint32_t mdev_counts_add(uint32_t a, uint32_t b);
