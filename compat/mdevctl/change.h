/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Change: what mdevctl changes, with callouts around what the daemon does.
 */

#include <systemd/sd-bus.h>

#include "options.h"

/* Negative: it failed, and why has been said. */
int change_define(sd_bus *bus, const Options *o);
int change_undefine(sd_bus *bus, const Options *o);
int change_modify(sd_bus *bus, const Options *o);
int change_start(sd_bus *bus, const Options *o);
int change_start_parent(sd_bus *bus, const Options *o);
int change_stop(sd_bus *bus, const Options *o);
