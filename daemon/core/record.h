/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Record: the note that a vGPU is ours, one small file for each UUID in a directory that survives a restart of the
 * daemon but no reboot, as the vGPU itself. It is written before the vGPU is made and removed after it has gone, so
 * that at no instant a vGPU of ours is without one. It names GPU and type: a UUID can be used again by somebody else.
 */

#include "core/backend.h"

int record_write(int state_fd, const char *uuid, const char *gpu, const char *type_id);
void record_remove(int state_fd, const char *uuid);
bool record_matches(int state_fd, const char *uuid, const char *gpu, const char *type_id);

/* Removes the records for which keep() says no. */
void record_prune(int state_fd, bool (*keep)(const char *uuid, void *userdata), void *userdata);
