/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Domain: a virtual machine of libvirt's on this host, which virsh changes for us.
 */

#include "ctl.h"

/*
 * Gives the domain the elements in xml, each a <hostdev>: all of them, or none if one is refused. where is of OPTION_LIVE and
 * OPTION_CONFIG; 0: as virsh does by itself, the running domain, else its definition.
 */
Status domain_attach(const char *domain, uint64_t where, const char *xml);
