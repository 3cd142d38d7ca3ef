/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * State features: what a vGPU that nobody has open answers when it is opened: whether and how it can be migrated. It is
 * opened and closed again; nothing is asked of it that changes its state.
 */

#include "core/backend.h"

/*
 * path: as for state_device_open(). Adds facts under the names of core/migration.h. -ERROR_IN_USE: somebody has it;
 * -ERROR_DRIVER_REJECTED: it cannot be opened. One that does not migrate is no error.
 */
int state_features_read(const Host *host, const char *path, Facts *facts, Error *error);
