/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the files of the bus layer know of the server, and nobody else. */

#include "bus/bus.h"
#include "util/list.h"
#include "util/log.h"
#include "util/map.h"

#define BUS_NAME "org.mdevgpu1"
#define BUS_PATH "/org/mdevgpu1"
#define BUS_DRIVER_NAME "org.freedesktop.DBus"
#define BUS_DRIVER_PATH "/org/freedesktop/DBus"

struct BusServer {
        sd_event *event;
        sd_bus *bus;
        const BusCallbacks *callbacks;
        void *userdata;
        char *version;
        bool without_polkit;

        Manager *manager; /* NULL before attach and after detach */
        /* Signals are sent. Not before it is ready: what is asked before then is answered after it, so that nobody can
         * have seen anything yet of which he would have to be told that it changed. */
        bool tells;
        sd_bus_slot *slots[16];
        size_t n_slots;

        /* bus-hold.c */
        sd_bus_message **held;
        size_t n_held;
        size_t n_released; /* the first of them, which have been handed on and not been looked at yet */

        /* bus-unread.c */
        uint32_t unread; /* bytes, when the bus was asked last */
        bool unread_unknown; /* the bus does not say */
        bool unread_leaves; /* it is too much: we leave when the timer says so */
        uint64_t unread_since; /* monotonic, when we began */
        unsigned sent_weight; /* since the bus was asked */
        sd_bus_slot *unread_query;
        sd_event_source *unread_timer;
        Map readers;
        List readers_in_order;

        /* bus-change.c */
        Map changes;
        List changes_in_order;
        sd_event_source *flush_source;
        sd_event_source *flush_timer;
        bool degraded;

        /* bus-call.c, bus-client.c */
        List calls;
        sd_event_source *sweep_source;
        Map clients;
        List clients_by_use; /* the one that was idle longest first */
        size_t n_matches; /* clients that are watched each by a match rule of their own */
        sd_bus_slot *crowd_match; /* for those that are not */
        size_t n_crowd;
        uint64_t last_cancellation;
};

/* Of a signal that could not be sent; that the connection is gone has been said once, which is enough. */
static inline int bus_log_level(int r) {
        return r == -ENOTCONN || r == -ECONNRESET ? LOG_DEBUG : LOG_WARNING;
}

/* The server behind the object whose method or property is being handled. */
BusServer *bus_server_of(sd_bus *bus);
