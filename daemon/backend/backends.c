/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "backend/backends.h"

const Backend *const backends[] = { &backend_nvidia, &backend_shim, &backend_mdev, NULL };
