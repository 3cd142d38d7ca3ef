/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Store: writes definitions below /etc/mdevctl.d and /etc/mdevgpud/vgpus.d, and their notes below /var/lib/mdevgpud, so
 * that they survive a power cut, each as a whole or not at all. In a worker process, as it waits for the disk.
 */

#include "core/backend.h"

int store_run(const Host *host, const Job *job, Error *error);

/* Opens dir_fd/name, made if it is not there, in such a way that it is there after a power cut as well. */
int folder_open(int dir_fd, const char *name, mode_t mode);
