/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Unread: what we have sent and others have not read yet lies in the bus. dbus-daemon counts it as ours, and reads nothing
 * more from us when it is 127 MiB (max_incoming_bytes, by default), whoever does not read. So it is asked now and then how
 * much that is (its Debug.Stats, which root may ask; where that is not answered, nothing of this is done). While it is
 * much, a client is answered only when little of ours waits for him, one call after the other. Signals cannot be kept from
 * one alone: when it is too much all the same, the event loop ends with -ENOBUFS, as a new connection begins with nothing.
 */

#include "bus/bus-server.h"

int bus_unread_init(BusServer *server);
void bus_unread_done(BusServer *server);

/* A signal is sent. */
void bus_unread_count_signal(BusServer *server);

/* So much was sent since the bus was asked that nothing more should be until it has answered. */
bool bus_unread_has_to_wait(const BusServer *server);

/* 0: the call may be answered, as far as its sender is concerned; 1: it waits, and comes again. */
int bus_unread_filter(BusServer *server, sd_bus_message *call, sd_bus_error *ret_error);

/* Whether it is one that comes again; and what becomes of it, as above. */
bool bus_unread_is_passing(BusServer *server, sd_bus_message *call);
int bus_unread_pass(BusServer *server, sd_bus_message *call, bool has_to_wait);
