/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * VGpus: what the hook has the daemon do. Whatever cannot be done is said on stderr, which libvirt shows its user.
 */

#include "domain.h"

/* Has the vGPUs there that the domain asks for: all, or those that were made now are removed again. */
int vgpus_prepare(const Domain *domain);

/* The same on the host that the domain migrates to. */
int vgpus_prepare_incoming(const Domain *domain);

/* Removes what vgpus_prepare() made for this domain, and nothing else. */
void vgpus_release(const Domain *domain);

/* Until it has ended, or time is up, the daemon opens none of the domain's vGPUs, so that QEMU finds them free. */
void vgpus_hold(const Domain *domain);
void vgpus_end_hold(const Domain *domain);
