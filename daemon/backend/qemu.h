/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* QEMU: which one runs a virtual machine, by what its own program says. */

#include "core/backend.h"

#define QEMU_VERSION_SIZE 24U

/* "7.2.17" of a process that is QEMU; empty: it is none, or does not tell. */
void qemu_read_version(const Host *host, const User *user, char ret_version[static QEMU_VERSION_SIZE]);
