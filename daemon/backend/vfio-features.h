/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * VFIO features: what a vGPU that nobody has open answers when it is opened: whether and how it can be migrated. It is
 * opened and closed again; nothing is asked of it that changes its state. (To be opened at all is something that drivers
 * notice: a virtual function is reset then.)
 */

#include "core/backend.h"

/*
 * device: its folder below /sys. Adds facts under the names of core/migration.h. -ERROR_IN_USE: somebody has it;
 * -ERROR_DRIVER_REJECTED: it cannot be opened. One whose driver has no migration is no error: nothing is added.
 */
int vfio_features_read(const Host *host, const char *device, Facts *facts, Error *error);
