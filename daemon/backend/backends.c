/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "backend/backends.h"

const Backend *const backends[] = { &backend_shim, &backend_mdev,  &backend_nvidia_vfio,
                                    &backend_xe,   &backend_sriov, NULL };

const Backend *const backends_beside[] = { &backend_vfio_pci, NULL };
