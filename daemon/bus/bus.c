/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "bus/bus-call.h"
#include "bus/bus-change.h"
#include "bus/bus-hold.h"
#include "bus/bus-message.h"
#include "bus/bus-observer.h"
#include "bus/bus-path.h"
#include "bus/bus-unread.h"
#include "util/log.h"

static const BusInterface *const interfaces[] = {
        &manager_interface,
        &gpu_interface,
        &sriov_interface,
        &mixed_interface,
        &type_interface,
        &vgpu_interface,
        &job_interface,
};

BusServer *bus_server_of(sd_bus *bus) {
        return sd_bus_slot_get_userdata(sd_bus_get_current_slot(bus));
}

static int on_disconnected(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        BusServer *server = userdata;

        /* Nobody can reach us any more, and nothing that we own dies with us: leave, and be started anew. */
        log_error("The connection to the bus is lost");
        (void)sd_event_exit(server->event, -ECONNRESET);
        return 0;
}

static int on_sweep(sd_event_source *source, void *userdata) {
        BusServer *server = userdata;
        BusCall *call;

        /* The message was handled again but its handler never came to it: the object that it was sent to has gone. */
        LIST_FOREACH(call, &server->calls, link)
                if (call->state == CALL_AUTHORIZED || call->state == CALL_DENIED)
                        bus_call_free(call);

        return 0;
}

static int add_sweep_source(BusServer *server) {
        int r;

        r = sd_event_add_defer(server->event, &server->sweep_source, on_sweep, server);
        if (r < 0)
                return r;

        /* After every message that waits to be handled. */
        r = sd_event_source_set_priority(server->sweep_source, SD_EVENT_PRIORITY_IDLE);
        if (r < 0)
                return r;

        return sd_event_source_set_enabled(server->sweep_source, SD_EVENT_OFF);
}

int bus_server_new(const BusParameters *parameters, BusServer **ret_server) {
        _cleanup_(bus_server_freep) BusServer *server = NULL;
        int r;

        server = calloc(1, sizeof(BusServer));
        if (!server)
                return -ENOMEM;

        list_init(&server->calls);
        list_init(&server->clients_by_use);
        list_init(&server->changes_in_order);
        list_init(&server->readers_in_order);
        server->event = sd_event_ref(parameters->event);
        server->bus = sd_bus_ref(parameters->bus);
        server->callbacks = parameters->callbacks;
        server->userdata = parameters->userdata;
        server->without_polkit = parameters->without_polkit;

        server->version = strdup(parameters->version);
        if (!server->version)
                return -ENOMEM;

        r = bus_changes_init(server);
        if (r < 0)
                return r;

        r = bus_unread_init(server);
        if (r < 0)
                return r;

        r = add_sweep_source(server);
        if (r < 0)
                return r;

        *ret_server = TAKE(server);
        return 0;
}

static void release_slots(BusServer *server) {
        while (server->n_slots > 0)
                sd_bus_slot_unref(server->slots[--server->n_slots]);
}

BusServer *bus_server_free(BusServer *server) {
        BusClient *client;

        if (!server)
                return NULL;

        assert(!server->manager);

        release_slots(server);
        bus_hold_done(server);
        bus_unread_done(server);
        LIST_FOREACH(client, &server->clients_by_use, link)
                bus_client_free(client);
        map_done(&server->clients);
        bus_changes_done(server);
        sd_event_source_disable_unref(server->sweep_source);
        sd_bus_unref(server->bus);
        sd_event_unref(server->event);
        free(server->version);
        free(server);
        return NULL;
}

Observer bus_server_observer(BusServer *server) {
        return (Observer){ .ops = &bus_observer_ops, .userdata = server };
}

void bus_server_attach(BusServer *server, Manager *manager) {
        assert(!server->manager);

        server->manager = manager;
}

void bus_server_detach(BusServer *server) {
        release_slots(server);
        bus_calls_abandon_all(server);
        server->tells = false;
        server->manager = NULL;
}

static sd_bus_slot **next_slot(BusServer *server) {
        assert(server->n_slots < ELEMENTSOF(server->slots));

        return &server->slots[server->n_slots++];
}

static int add_interface(BusServer *server, const BusInterface *interface) {
        if (!interface->find)
                return sd_bus_add_object_vtable(server->bus, next_slot(server), interface->prefix, interface->name,
                                                interface->vtable, server);

        return sd_bus_add_fallback_vtable(server->bus, next_slot(server), interface->prefix, interface->name,
                                          interface->vtable, interface->find, server);
}

static int add_objects(BusServer *server) {
        int r;

        r = sd_bus_add_object_manager(server->bus, next_slot(server), BUS_PATH);
        if (r < 0)
                return r;

        for (size_t i = 0; i < ELEMENTSOF(interfaces); i++) {
                r = add_interface(server, interfaces[i]);
                if (r < 0)
                        return r;
        }

        r = sd_bus_add_node_enumerator(server->bus, next_slot(server), GPU_PREFIX, bus_enumerate_gpus, server);
        if (r < 0)
                return r;

        r = sd_bus_add_node_enumerator(server->bus, next_slot(server), VGPU_PREFIX, bus_enumerate_vgpus, server);
        if (r < 0)
                return r;

        return sd_bus_add_node_enumerator(server->bus, next_slot(server), JOB_PREFIX, bus_enumerate_jobs, server);
}

int bus_server_start(BusServer *server) {
        int r;

        assert(server->manager);

        r = sd_bus_add_filter(server->bus, next_slot(server), bus_hold_filter, server);
        if (r < 0)
                return r;

        r = add_objects(server);
        if (r < 0)
                return r;

        r = sd_bus_match_signal(server->bus, next_slot(server), "org.freedesktop.DBus.Local",
                                "/org/freedesktop/DBus/Local", "org.freedesktop.DBus.Local", "Disconnected",
                                on_disconnected, server);
        if (r < 0)
                return r;

        r = sd_bus_attach_event(server->bus, server->event, SD_EVENT_PRIORITY_NORMAL);
        if (r < 0)
                return r;

        /* Nobody may take it from us, nor do we wait in a queue: who comes second leaves. */
        return sd_bus_request_name(server->bus, BUS_NAME, /* flags= */ 0);
}

void bus_server_set_ready(BusServer *server) {
        server->tells = true;
        bus_update_degraded(server);
        bus_hold_release(server);
}
