/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Host facts: looking at the machine for what stands in the way of vGPUs. In a worker, as it reads a lot of files, and
 * some of them may be on a file system that does not answer.
 */

#include "core/host-facts.h"
#include "core/platform.h"

/* What cannot be read is not there: no error. */
void host_facts_read(const Host *host, HostFacts *ret_facts);
