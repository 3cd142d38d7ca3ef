/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "backend/backends.h"

const Backend *const backends[] = { &backend_shim, &backend_mdev, NULL };

const Backend *const backends_beside[] = { &backend_vfio_pci, NULL };
