/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "backend/backends.h"

const Backend *const backends[] = { &backend_nvidia, &backend_shim,  &backend_mdev, &backend_xe,
                                    &backend_gim,    &backend_sriov, NULL };

const Backend *const backends_beside[] = { &backend_nvidia_vfio, &backend_vfio_pci, NULL };
