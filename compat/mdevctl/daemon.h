/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Daemon: changes, by org.mdevgpu1. Each has said what went wrong when it fails.
 */

#include <systemd/sd-bus.h>

#include "device.h"

/* -ENXIO: it is not there, or stands still, which is known within a second. It is never started for this. */
int daemon_connect(sd_bus **ret_bus);

int daemon_define(sd_bus *bus, const Device *d);
int daemon_undefine(sd_bus *bus, const char *uuid);
/* What differs between the two. */
int daemon_modify(sd_bus *bus, const Device *before, const Device *after);
/* The attributes of one that is active. */
int daemon_modify_live(sd_bus *bus, const Device *d);
/* One that is defined; and any other. */
int daemon_start(sd_bus *bus, const char *uuid);
int daemon_create(sd_bus *bus, const Device *d);
int daemon_destroy(sd_bus *bus, const char *uuid);
