/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the model tells its observer, as signals. */

#include "bus/bus-interface.h"

extern const ObserverOps bus_observer_ops;

/* A GPU has failed, is stuck, or the configuration that was read last has errors. */
bool bus_is_degraded(const BusServer *server);

/* Tells if that changed. */
void bus_update_degraded(BusServer *server);
