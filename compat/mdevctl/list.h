/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * List: what mdevctl prints, from files alone.
 */

#include "options.h"

int list_devices(const Options *o);
int list_types(const Options *o);
