/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "bus/bus-call.h"
#include "bus/bus-change.h"
#include "bus/bus-error.h"
#include "bus/bus-hold.h"
#include "bus/bus-message.h"
#include "bus/bus-unread.h"

#define HELD_MAX 1024U

/* Messages in our queue: there are none while the bus takes what we send, and no more than some 20 MB in so many answers. */
#define QUEUED_MAX 16U

static bool may_wait(sd_bus_message *message) {
        const char *path = sd_bus_message_get_path(message);
        const char *interface = sd_bus_message_get_interface(message);
        uint8_t type;

        if (sd_bus_message_get_type(message, &type) < 0 || type != SD_BUS_MESSAGE_METHOD_CALL)
                return false;
        if (interface && streq(interface, "org.freedesktop.DBus.Peer"))
                return false;

        return path && strncmp(path, BUS_PATH, strlen(BUS_PATH)) == 0;
}

static bool has_to_wait(BusServer *server) {
        return !server->tells || bus_queue_is_over(server, QUEUED_MAX) || bus_unread_has_to_wait(server);
}

/* The first of those that wait is looked at: it was handed on, and all that came later than it stay behind it. */
static void pass_first(BusServer *server) {
        sd_bus_message_unref(server->held[0]);
        server->n_released--;
        server->n_held--;
        memmove(server->held, server->held + 1, server->n_held * sizeof(sd_bus_message *));
        if (server->n_released == 0)
                bus_hold_release(server);
}

static int hold(BusServer *server, sd_bus_message *message, sd_bus_error *ret_error) {
        sd_bus_message **held;

        if (server->n_held >= HELD_MAX) {
                bus_queue_check(server);
                return bus_error_setf(ret_error, -ERROR_LIMIT_EXCEEDED, "%s, and too many callers wait for it",
                                      server->tells ? "The bus does not take what has been answered already"
                                                    : "Hardware is still being enumerated");
        }

        held = reallocarray(server->held, server->n_held + 1, sizeof(sd_bus_message *));
        if (!held)
                return -ENOMEM;

        server->held = held;
        server->held[server->n_held++] = sd_bus_message_ref(message);
        if (server->tells)
                bus_changes_flush_later(server);
        return 1;
}

int bus_hold_filter(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        BusServer *server = userdata;

        if (server->n_released > 0 && message == server->held[0]) {
                pass_first(server);
                return bus_unread_filter(server, message, ret_error);
        }

        if (!server->manager || !may_wait(message))
                return 0;
        /* It has come before, and what polkit said of it counts now: its answer is small, and of such there is a limit. */
        if (bus_call_is_known(server, message))
                return 0;
        /* It has waited here already, and then for its sender. */
        if (bus_unread_is_passing(server, message))
                return bus_unread_pass(server, message, has_to_wait(server));
        /* Not before those that came before it. */
        if (server->n_held > 0 || has_to_wait(server))
                return hold(server, message, ret_error);

        return bus_unread_filter(server, message, ret_error);
}

void bus_hold_release(BusServer *server) {
        int r;

        if (server->n_held == 0 || server->n_released > 0)
                return;
        if (has_to_wait(server)) {
                bus_changes_flush_later(server);
                return;
        }

        /* As many as may be answered before it is looked again whether the bus takes that. They go to the end of what has
         * been read already, which therefore waits for them. */
        while (server->n_released < MIN(server->n_held, QUEUED_MAX)) {
                r = sd_bus_enqueue_for_read(server->bus, server->held[server->n_released]);
                if (r < 0)
                        break;
                server->n_released++;
        }
        if (server->n_released == 0) /* without memory; nobody else would try again */
                bus_changes_flush_later(server);
}

void bus_hold_done(BusServer *server) {
        while (server->n_held > 0)
                sd_bus_message_unref(server->held[--server->n_held]);

        free(server->held);
        server->held = NULL;
        server->n_released = 0;
}
