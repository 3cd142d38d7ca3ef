/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * NVIDIA legacy: registering types with a driver of branch 510, for experts: no public header states its structs, only what
 * the Mdev-GPU project found out. The driver is told types and asked nothing: that it took one shows in sysfs, and its yes
 * counts for nothing.
 */

#include "backend/nvidia-info.h"
#include "backend/nvidia-types.h"

typedef struct NvidiaLegacy {
        NvidiaOutcome *outcomes; /* of the last registration */
        size_t n_outcomes;
        uint32_t sent[PROFILE_TYPES_MAX]; /* what this driver was told: it keeps what it is told first */
        size_t n_sent;
} NvidiaLegacy;

void nvidia_legacy_done(NvidiaLegacy *l);

/* report has the types that the kernel shows. Only a channel that is lost is an error. */
int nvidia_legacy_register(NvidiaLegacy *l, NvidiaRm *rm, const NvidiaCard *card, const TypeSpec *wanted,
                           size_t n_wanted, NvidiaUse use, const GpuReport *report, Error *error);

/* Completes the rows of types that the kernel shows, and adds those of wanted types that it does not. */
int nvidia_legacy_report(const NvidiaLegacy *l, const TypeSpec *wanted, size_t n_wanted, GpuReport *report,
                         Error *error);
