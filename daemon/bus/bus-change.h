/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Changes: PropertiesChanged, told once for each object however often it changed since the event loop slept last. The
 * values are read when the signal is made, so that they are what Get answers.
 *
 * While nobody takes what we send, changes are kept and not sent: there is at most one for each object, where signals
 * would pile up without bound.
 */

#include "bus/bus-interface.h"

typedef struct BusChange BusChange;

int bus_changes_init(BusServer *server);
void bus_changes_done(BusServer *server);

/* Properties of the object at path changed. */
void bus_changed(BusServer *server, const char *path, const BusInterface *interface, unsigned mask);

/* It goes: what was not told yet will not be told. */
void bus_change_forget(BusServer *server, const char *path);

/* Objects that come and go are told one by one: when too many such signals wait, the event loop ends with -ENOBUFS. */
void bus_queue_check(BusServer *server);

/* More messages than that wait in our queue, for the bus to take them. */
bool bus_queue_is_over(BusServer *server, uint64_t limit);

/* A while later, also what is held is let go on. */
void bus_changes_flush_later(BusServer *server);

/* Tells everything now: before a reply, so that whoever reads it finds nothing stale in what signals told before. */
void bus_changes_flush(BusServer *server);
