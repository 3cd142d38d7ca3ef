/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the daemon has done since it started, in numbers. */

#include "bus/bus-error.h"
#include "bus/bus-interface.h"
#include "bus/bus-message.h"
#include "core/statistics.h"

static int open_value(sd_bus_message *reply, const char *key, const char *signature) {
        int r;

        r = sd_bus_message_open_container(reply, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append_basic(reply, 's', key);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'v', signature);
        /* Both kinds of value are arrays, of what stands behind the 'a'. */
        return r < 0 ? r : sd_bus_message_open_container(reply, 'a', signature + 1);
}

static int close_value(sd_bus_message *reply) {
        int r = 0;

        for (unsigned i = 0; i < 3 && r >= 0; i++)
                r = sd_bus_message_close_container(reply);
        return r;
}

static int append_bounds(sd_bus_message *reply) {
        int r;

        r = open_value(reply, "latency-bounds", "at");
        for (size_t i = 0; r >= 0 && i < STATISTICS_BOUNDS; i++)
                r = sd_bus_message_append_basic(reply, 't', &statistics_bounds_usec[i]);
        return r < 0 ? r : close_value(reply);
}

static int append_operation(sd_bus_message *reply, OperationKind kind, const OperationStatistics *o) {
        int r;

        r = sd_bus_message_open_container(reply, 'r', "stttat");
        if (r >= 0)
                r = sd_bus_message_append(reply, "sttt", operation_kind_to_string(kind), o->n_done, o->n_failed,
                                          o->usec);
        if (r >= 0)
                r = sd_bus_message_append_array(reply, 't', o->buckets, sizeof(o->buckets));
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_operations(sd_bus_message *reply, const Statistics *statistics) {
        int r;

        r = open_value(reply, "operations", "a(stttat)");
        for (OperationKind kind = 0; r >= 0 && kind < OPERATION_KIND_MAX; kind++)
                r = append_operation(reply, kind, &statistics->operations[kind]);
        return r < 0 ? r : close_value(reply);
}

/* Several codes may have one name: a reader finds each name once. */
static uint64_t count_errors(const OperationStatistics *o, size_t i) {
        const char *name = bus_error_name(o->errors[i].code);
        uint64_t n = 0;

        for (size_t k = 0; k < o->n_errors; k++) {
                if (!streq(bus_error_name(o->errors[k].code), name))
                        continue;
                if (k < i)
                        return 0;
                n += o->errors[k].n;
        }

        return n;
}

static int append_errors(sd_bus_message *reply, const Statistics *statistics) {
        int r;

        r = open_value(reply, "errors", "a(sst)");
        for (OperationKind kind = 0; kind < OPERATION_KIND_MAX; kind++) {
                const OperationStatistics *o = &statistics->operations[kind];

                for (size_t i = 0; r >= 0 && i < o->n_errors; i++) {
                        uint64_t n = count_errors(o, i);

                        if (n > 0)
                                r = sd_bus_message_append(reply, "(sst)", operation_kind_to_string(kind),
                                                          bus_error_name(o->errors[i].code), n);
                }
        }

        return r < 0 ? r : close_value(reply);
}

static int append_counters(sd_bus_message *reply, const Manager *manager) {
        const Statistics *s = &manager->statistics;
        const PlatformStatistics *p = &manager->platform->statistics;
        const struct {
                const char *key;
                uint64_t n;
        } counters[] = {
                { "since", s->start_usec },
                { "jobs-done", s->tasks.n_done },
                { "jobs-failed", s->tasks.n_failed },
                { "jobs-cancelled", s->tasks.n_cancelled },
                { "reloads-done", s->n_reloads },
                { "reloads-failed", s->n_reloads_failed },
                { "device-errors", s->n_device_errors },
                { "workers-started", p->n_started },
                { "workers-lost", p->n_lost },
                { "workers-stuck", p->n_stuck },
        };
        int r = 0;

        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(counters); i++)
                r = sd_bus_message_append(reply, "{sv}", counters[i].key, "t", counters[i].n);
        return r;
}

int manager_method_get_statistics(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        _cleanup_(bus_message_unrefp) sd_bus_message *reply = NULL;
        const BusServer *server = userdata;
        int r;

        r = bus_read_no_options(message, ret_error);
        if (r >= 0)
                r = sd_bus_message_new_method_return(message, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "{sv}");
        if (r >= 0)
                r = append_counters(reply, server->manager);
        if (r >= 0)
                r = append_bounds(reply);
        if (r >= 0)
                r = append_operations(reply, &server->manager->statistics);
        if (r >= 0)
                r = append_errors(reply, &server->manager->statistics);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);

        return r < 0 ? r : sd_bus_message_send(reply);
}
