/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "bus/bus-change.h"
#include "bus/bus-hold.h"
#include "bus/bus-unread.h"

/* More messages than this in our queue mean that the bus does not take them; a look at it again after a while. */
#define QUEUED_MAX 128U
#define RETRY_USEC (100U * 1000U)

/* Some 16 MiB, as what is told of one object is less than a kilobyte: the bus is as good as gone. */
#define QUEUED_HOPELESS 16384U

/* The widest interface has fewer properties. */
#define PROPERTIES_MAX 32U

struct BusChange {
        MapNode node; /* in server->changes, by path */
        List link;    /* in server->changes_in_order */
        const BusInterface *interface;
        unsigned mask;
        char path[];
};

static BusChange *change_free(BusServer *server, BusChange *change) {
        map_remove(&server->changes, &change->node);
        list_unlink(&change->link);
        free(change);
        return NULL;
}

static void emit(BusServer *server, const char *path, const BusInterface *interface, unsigned mask) {
        char *names[PROPERTIES_MAX + 1];
        size_t n = 0;
        int r;

        for (const BusMask *m = interface->masks; m->mask != 0; m++)
                if (m->mask & mask) {
                        assert(n < PROPERTIES_MAX);
                        names[n++] = (char *)m->property;
                }
        names[n] = NULL;

        bus_unread_count_signal(server);
        r = sd_bus_emit_properties_changed_strv(server->bus, path, interface->name, names);
        if (r < 0)
                log_full(bus_log_level(r), NULL, "Cannot tell what changed of %s: %s", path, strerrordesc_np(-r));
}

bool bus_queue_is_over(BusServer *server, uint64_t limit) {
        uint64_t n;

        return sd_bus_get_n_queued_write(server->bus, &n) >= 0 && n > limit;
}

void bus_queue_check(BusServer *server) {
        if (!bus_queue_is_over(server, QUEUED_HOPELESS))
                return;

        log_error("The bus takes no messages any more; leaving, to start anew");
        /* At once: at the end of the event loop sd-bus would wait until all was sent. */
        sd_bus_close(server->bus);
        (void)sd_event_exit(server->event, -ENOBUFS);
}

static int on_flush_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        bus_changes_flush(userdata);
        bus_hold_release(userdata);
        return 0;
}

void bus_changes_flush(BusServer *server) {
        BusChange *change;

        (void)sd_event_source_set_enabled(server->flush_source, SD_EVENT_OFF);

        LIST_FOREACH(change, &server->changes_in_order, link) {
                if (bus_queue_is_over(server, QUEUED_MAX)) {
                        bus_changes_flush_later(server);
                        return;
                }

                emit(server, change->path, change->interface, change->mask);
                change_free(server, change);
        }
}

void bus_changes_flush_later(BusServer *server) {
        int enabled, r;

        /* Not later and later. */
        if (sd_event_source_get_enabled(server->flush_timer, &enabled) >= 0 && enabled != SD_EVENT_OFF)
                return;

        r = sd_event_source_set_time_relative(server->flush_timer, RETRY_USEC);
        if (r >= 0)
                r = sd_event_source_set_enabled(server->flush_timer, SD_EVENT_ONESHOT);
        if (r < 0)
                log_warning("Cannot set a timer for changes that wait: %s", strerrordesc_np(-r));
}

static int on_flush(sd_event_source *source, void *userdata) {
        bus_changes_flush(userdata);
        return 0;
}

static BusChange *change_new(BusServer *server, const char *path, const BusInterface *interface) {
        size_t size = strlen(path) + 1;
        BusChange *change;

        change = calloc(1, sizeof(BusChange) + size);
        if (!change)
                return NULL;

        memcpy(change->path, path, size);
        change->interface = interface;
        if (map_add(&server->changes, &change->node, change->path) < 0) {
                free(change);
                return NULL;
        }

        list_append(&server->changes_in_order, &change->link);
        return change;
}

void bus_changed(BusServer *server, const char *path, const BusInterface *interface, unsigned mask) {
        BusChange *change;

        change = MAP_FIND(&server->changes, path, BusChange, node) ?: change_new(server, path, interface);
        if (!change) {
                /* No memory to wait with, so tell it now. */
                emit(server, path, interface, mask);
                return;
        }

        assert(change->interface == interface);
        change->mask |= mask;
        if (sd_event_source_set_enabled(server->flush_source, SD_EVENT_ONESHOT) < 0)
                bus_changes_flush(server);
}

void bus_change_forget(BusServer *server, const char *path) {
        BusChange *change;

        change = MAP_FIND(&server->changes, path, BusChange, node);
        if (change)
                change_free(server, change);
}

int bus_changes_init(BusServer *server) {
        int r;

        list_init(&server->changes_in_order);

        r = sd_event_add_defer(server->event, &server->flush_source, on_flush, server);
        if (r < 0)
                return r;

        r = sd_event_source_set_enabled(server->flush_source, SD_EVENT_OFF);
        if (r < 0)
                return r;

        r = sd_event_add_time_relative(server->event, &server->flush_timer, CLOCK_MONOTONIC, 0, 0, on_flush_timer,
                                       server);
        if (r < 0)
                return r;

        return sd_event_source_set_enabled(server->flush_timer, SD_EVENT_OFF);
}

void bus_changes_done(BusServer *server) {
        BusChange *change;

        LIST_FOREACH(change, &server->changes_in_order, link)
                change_free(server, change);

        map_done(&server->changes);
        server->flush_source = sd_event_source_disable_unref(server->flush_source);
        server->flush_timer = sd_event_source_disable_unref(server->flush_timer);
}
