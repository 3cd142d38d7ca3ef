/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * BusServer: the model as org.mdevgpu1 shows it: objects, signals, methods, and polkit in front of what changes
 * something. It is the model's observer and calls the manager; it knows nothing of hardware or of files.
 *
 * main's order: bus_server_new(), manager_new() with bus_server_observer(), bus_server_attach(), bus_server_start()
 * (the name is ours, or there is another daemon and we leave before anything was touched), manager_scan(),
 * bus_server_set_ready(); and at the end bus_server_detach(), manager_free(), bus_server_free().
 */

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "core/manager.h"

typedef struct BusServer BusServer;

typedef struct BusCallbacks {
        /*
         * Reads the configuration and puts it in force: 0; or the last good one stays: -ERROR_CONFIG_INVALID if what
         * config_report() returns now says why, or another negative code with *error filled. Called by
         * bus_server_reload() alone.
         */
        int (*reload)(Error *error, void *userdata);

        /* What is wrong with the configuration as it is now, or was a moment ago where it takes long to read. Until the next. */
        int (*check_config)(const ConfigReport **ret_report, void *userdata);

        /* What was found when configuration was read last, at start or by reload(), put in force or not. Never NULL. */
        const ConfigReport *(*config_report)(void *userdata);
} BusCallbacks;

typedef struct BusParameters {
        sd_event *event;
        sd_bus *bus; /* open; the server takes a reference and attaches it to the event loop */
        const BusCallbacks *callbacks;
        void *userdata;
        const char *version;
        /*
         * There is no polkit on this (private) bus: only root and the server's own user may change anything. For the
         * simulated host; the system's daemon never sets it.
         */
        bool without_polkit;
} BusParameters;

int bus_server_new(const BusParameters *parameters, BusServer **ret_server);
BusServer *bus_server_free(BusServer *server);
DEFINE_CLEANUP(BusServer *, bus_server_free)

/* For manager_new(). What it is told before bus_server_attach() or after bus_server_detach() is not signalled. */
Observer bus_server_observer(BusServer *server);
void bus_server_attach(BusServer *server, Manager *manager);

/* The model is about to go, the hardware is not: calls on their way are abandoned and nothing is signalled any more. */
void bus_server_detach(BusServer *server);

/*
 * Puts the objects on the bus and takes the name: -EEXIST if somebody has it. Calls wait until the server is ready.
 * When the connection is lost later, the event loop ends with -ECONNRESET; with -ENOBUFS, when the bus takes nothing,
 * or soon would not.
 */
int bus_server_start(BusServer *server);

/*
 * Present hardware is enumerated, as far as it could be: calls are answered from here on. Without this a caller who
 * started the daemon by its call would be told that there are no GPUs.
 */
void bus_server_set_ready(BusServer *server);

/* The one way to reload, for the method and for a signal alike: announces it, reloads, announces what came of it. */
int bus_server_reload(BusServer *server, Error *error);
