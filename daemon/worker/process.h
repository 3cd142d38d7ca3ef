/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Process: starting a worker program with a socket as standard input and nothing else inherited.
 */

#include <sys/types.h>

#include "util/cleanup.h"

/* The arguments are command's, then gpu. Returns the parent's end of the socket, non-blocking, in *ret_fd. */
int process_spawn(const char *const *command, const char *gpu, pid_t *ret_pid, int *ret_fd);
