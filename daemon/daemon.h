/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Daemon: the parts wired together, over whichever host: configuration, workers, model and bus. mdevgpud runs it over
 * this machine, mdevgpud-sim over a simulated one.
 */

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "core/manager.h"

typedef struct Daemon Daemon;

typedef struct DaemonParameters {
        sd_event *event;
        sd_bus *bus;
        const Host *host;
        const char *const *worker_command; /* ended by NULL; the GPU's name is added */
        const char *config_root;           /* "": the system's configuration */
        int state_fd;                      /* what must survive a restart and not a reboot */
        bool without_polkit;               /* only on a private bus */
        NameLookup name_lookup;            /* may be NULL */
        void *name_lookup_userdata;
} DaemonParameters;

/* Those that the daemon takes from its loop; before anything else, so that none is lost or kills. */
int daemon_block_signals(void);

int daemon_new(const DaemonParameters *parameters, Daemon **ret_daemon);
Daemon *daemon_free(Daemon *daemon);
DEFINE_CLEANUP(Daemon *, daemon_free)

/*
 * Takes the bus name, then configures and enumerates. Events of devices must be subscribed to already. -EEXIST: there is
 * a daemon; nothing was touched.
 */
int daemon_start(Daemon *daemon);

/* What a monitor hears. */
void daemon_handle_uevent(Daemon *daemon, const Uevent *uevent);
void daemon_handle_overrun(Daemon *daemon);
