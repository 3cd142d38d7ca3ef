/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* GIM: which driver AMD's is that makes its virtual functions when it is loaded, and no others. */

#include "core/backend.h"

bool gim_is_driver(const char *driver);
