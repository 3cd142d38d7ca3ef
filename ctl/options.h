/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Options: what the command line says about vGPUs beyond their names, on its way to the options of a method.
 */

#include "ctl.h"

/* Takes one option, of enum Option, with its argument, which has to live as long as ctl. */
Status options_take(Ctl *ctl, uint64_t option, char *argument);

/* Whether the verb takes each of those that are given, and none contradicts another. */
Status options_check(const Ctl *ctl);

/* Appends them as the a{sv} that ends every method that changes something. */
int options_append(const Ctl *ctl, sd_bus_message *m);

void options_done(Ctl *ctl);
