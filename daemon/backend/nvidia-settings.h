/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * NVIDIA settings: what of a card and of a running vGPU can be set by the resource manager, beside types: vGPUs of several
 * sizes on one card, and a machine's share of the encoder. What else one may wish to set is refused in words.
 */

#include "backend/nvidia-probe.h"
#include "backend/nvidia-types.h"

/*
 * Makes the card take vGPUs of several sizes, or of one, if profiles say anything of it and it is not so. What the driver
 * refuses is said in *ret_why, else that is empty; only a channel that is lost is an error.
 */
int nvidia_settings_mixed_size(NvidiaRm *rm, const NvidiaVerdict *verdict, const TypeSpec *wanted, size_t n_wanted,
                               NvidiaUse use, char ret_why[static REASON_SIZE], Error *error);

/* True if the name of an attribute is one that is looked at here and not in sysfs. */
bool nvidia_settings_has(const char *name);

/* Sets it, on a channel in NVIDIA_HOST_READY. */
int nvidia_settings_configure(NvidiaRm *rm, bool may_write, const char *uuid, const Attribute *attribute, Error *error);
