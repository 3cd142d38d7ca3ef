/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * NVIDIA usage: what the resource manager says of a card and of the virtual machines that run with its vGPUs, in the words
 * that GetUsage() has for it. Nothing is changed.
 */

#include "backend/nvidia-query.h"

/*
 * A channel in NVIDIA_HOST_READY. What the driver does not say is left out; only a channel that is lost is an error.
 */
int nvidia_usage_read(NvidiaRm *rm, UsageReport *report, Error *error);

/* The mdev that a guest runs with, among those that there are; "" if the driver does not say. */
void nvidia_guest_find_mdev(const Host *host, const NvidiaGuest *guest, char ret_uuid[static UUID_STRING_SIZE]);
