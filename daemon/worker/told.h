/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Told: what a driver says of one vGPU's use, where it says anything. /proc does not show everybody who holds one: not who
 * has kept the device's descriptor alone (before kernel 6.18), nor who is hidden from us.
 */

#include "core/backend.h"

/* True: the report says something of this vGPU, in *ret_usage, whose facts are the caller's and no longer the report's. */
bool told_take(UsageReport *all, const char *uuid, VGpuUsage *ret_usage);

/* Nobody is seen who uses it. -ERROR_IN_USE: its driver says that somebody does, and goes on saying so for a moment. */
int told_check_free(BackendContext *c, const char *uuid, Error *error);
