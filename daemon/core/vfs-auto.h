/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Virtual functions that a setting asks for: enabled when a card is found, comes, or has its driver bound anew, if it has
 * none then. A card that has been looked at since then is left alone, across restarts of the daemon as well: what an
 * administrator changes by hand stays.
 */

#include "core/backend.h"

typedef struct Gpu Gpu;

/* It has been read. */
void vfs_auto_check(Gpu *gpu);
/* The number of its functions was changed, whoever asked for it: it counts as looked at when it has been read again. */
void vfs_auto_changed(Gpu *gpu);
/* No tries any more. */
void vfs_auto_stop(Gpu *gpu);

/* What is shown of it, of what was read and of the setting. */
void vfs_auto_explain(const Gpu *gpu, const GpuReport *report, char *buffer, size_t size);
