/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Hold: calls that have to wait before anybody looks at them: those that come before the server is ready, and those that
 * come while the bus does not take what we have sent already, as every answer may be a megabyte. In the order in
 * which they came; when too many wait, more are told to come again. Behind that, bus-unread has those whose own sender does
 * not read.
 */

#include "bus/bus-server.h"

/* The filter that every message passes. */
int bus_hold_filter(sd_bus_message *message, void *userdata, sd_bus_error *ret_error);

/* Hands on what waits, unless the reason for it has not gone. */
void bus_hold_release(BusServer *server);

void bus_hold_done(BusServer *server);
