/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Identity: a number of this host's own, from which other names can be derived that no other host has. */

#include "util/cleanup.h"

/* Derived from /etc/machine-id, which it does not give away; the same on all hosts that have none. */
void identity_of_host(uint8_t ret[static 16]);
