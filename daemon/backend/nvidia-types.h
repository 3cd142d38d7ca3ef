/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * NVIDIA types: the set of types that the driver holds for one GPU, and what profiles want of it.
 *
 * The driver's set only grows: a type that it once took it keeps as it is until it is loaded anew, and there is no way to
 * take one back (observed in the source of 550 to 595). So only what is missing is sent, and nothing is ever discarded.
 */

#include "backend/nvidia-info.h"
#include "backend/nvidia-probe.h"

/* What came of a type that a profile wants. */
typedef struct NvidiaOutcome {
        TypeSpec spec;
        Registration registration;
        bool sent; /* the driver itself refused it: asked again only when something has changed */
        uint64_t print; /* of what was sent */
        char reason[REASON_SIZE];
} NvidiaOutcome;

typedef struct NvidiaTypes {
        NvidiaCard card;

        NvidiaTypeList held; /* as last read */
        NvidiaType types[NVIDIA_TYPES_MAX]; /* of each id in it; id 0: the driver does not describe it */

        NvidiaOutcome *outcomes; /* of the last registration */
        size_t n_outcomes;
        NvidiaTypeList ours; /* registered by this process */
        bool waiting; /* something has to wait until no vGPU lives, or the driver is ready */
        char degraded[REASON_SIZE]; /* the set could not be brought into its final state: why; else empty */
} NvidiaTypes;

void nvidia_types_done(NvidiaTypes *t);

/* Reads what the driver holds. A channel in NVIDIA_HOST_READY, here and below. */
int nvidia_types_read(NvidiaTypes *t, NvidiaRm *rm, Error *error);

/* Adds to each type what is left for it now, and what it costs the host; where the driver does not say, nothing. */
int nvidia_types_read_more(NvidiaTypes *t, NvidiaRm *rm, Error *error);

/* What the kernel's side of a card says about whether its types may be registered. */
typedef struct NvidiaUse {
        bool in_use; /* a vGPU lives on the card: nothing may be changed */
        bool offered; /* it shows types, in one way or another */
} NvidiaUse;

/*
 * Registers what is wanted and missing. Only a channel that is lost is an error; what comes of each type is in the
 * outcomes.
 */
int nvidia_types_register(NvidiaTypes *t, NvidiaRm *rm, const NvidiaVerdict *verdict, const TypeSpec *wanted,
                          size_t n_wanted, NvidiaUse use, Error *error);

/* A type of the set that was read last; NULL: there is none. */
const NvidiaType *nvidia_types_find(const NvidiaTypes *t, uint32_t id);

/* How it stands with a wanted type now: it may have changed since it was registered. */
void nvidia_types_judge(const NvidiaTypes *t, const TypeSpec *spec, NvidiaOutcome *ret_now);

/* nvidia-rows.c: completes the rows that the kernel's view of types has filled, and adds those of wanted types that it has
 * not. */
int nvidia_types_report(const NvidiaTypes *t, const TypeSpec *wanted, size_t n_wanted, GpuReport *report, Error *error);
/* The row of a type, by the driver's number for it; NULL: there is none. */
TypeReport *nvidia_rows_find(const GpuReport *report, uint32_t id);
/* All that a profile says of a type. */
void nvidia_rows_fill(const TypeSpec *spec, TypeReport *row);
