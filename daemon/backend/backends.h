/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Backends: the ordered table of all that this build knows. The first whose probe says "mine" serves the GPU; the
 * special stand before the general.
 */

#include "core/backend.h"

extern const Backend backend_nvidia; /* types by NVIDIA's resource manager */
extern const Backend backend_shim; /* types by ioctl through the open shim's control channel */
extern const Backend backend_mdev; /* any driver that is an mdev parent with types of its own */

extern const Backend *const backends[]; /* ended by NULL */
