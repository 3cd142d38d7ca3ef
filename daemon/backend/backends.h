/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Backends: the ordered table of all that this build knows. The first whose probe says "mine" serves the GPU; the
 * special stand before the general. Beside it stand those of the second table, each of which serves types of its own on
 * any GPU that its probe calls its own, whatever drives that.
 */

#include "core/backend.h"

extern const Backend backend_nvidia; /* types by NVIDIA's resource manager */
extern const Backend backend_shim; /* types by ioctl through the open shim's control channel */
extern const Backend backend_mdev; /* any driver that is an mdev parent with types of its own */

extern const Backend backend_xe; /* virtual functions that Intel's xe provisions */
extern const Backend backend_gim; /* those that AMD's GIM driver made when it was loaded */
extern const Backend backend_sriov; /* virtual functions of any other driver, as they are */
extern const Backend backend_nvidia_vfio; /* virtual functions that NVIDIA's driver divides, without any mdev */
extern const Backend backend_vfio_pci; /* the whole card */

/* Ended by NULL. */
extern const Backend *const backends[];
extern const Backend *const backends_beside[];
