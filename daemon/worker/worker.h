/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Worker: the loop of a worker process: one job after the other from the daemon's socket, until that is closed.
 */

#include "core/platform.h"

/* 0 when the daemon closed the socket; negative when the peer sent nonsense or the socket failed. */
int worker_serve(int socket_fd, const Host *host, const char *gpu);
