/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * NVIDIA probe: what can be done with a card's driver: whether it is a vGPU host, and whether its layout is one that we
 * know. Nothing is changed by looking.
 */

#include "backend/nvidia-query.h"

typedef enum NvidiaState {
        NVIDIA_NO_DRIVER,
        NVIDIA_NOT_VGPU_HOST,
        NVIDIA_LAYOUT_UNKNOWN, /* its version and its answers do not fit together, or the branch is not known */
        NVIDIA_HOST_READY,
        NVIDIA_STATE_MAX,
        NVIDIA_STATE_INVALID = -EINVAL,
} NvidiaState;

const char *nvidia_state_to_string(NvidiaState s); /* "no-driver", "driver-not-vgpu-host", … */

typedef struct NvidiaVerdict {
        NvidiaState state;
        bool known; /* there are public headers of just this driver, or of one before and one after it */
        bool legacy; /* spoken to as an expert wants it: by nvidia-legacy.h, and by nothing else */
        char reason[REASON_SIZE]; /* empty in NVIDIA_HOST_READY */
} NvidiaVerdict;

/*
 * Opens the channel and goes on with it as far as it is safe: in NVIDIA_HOST_READY and, mostly, NVIDIA_NOT_VGPU_HOST, all
 * objects are there. Negative if it could not be found out, with *error filled. The channel is the caller's to close.
 */
int nvidia_probe(NvidiaRm *rm, const Host *host, const char *gpu, NvidiaVerdict *ret_verdict, Error *error);

/* The same for an expert: a driver of which there are no headers is believed to have the layout that somebody found out. */
int nvidia_probe_legacy(NvidiaRm *rm, const Host *host, const char *gpu, NvidiaVerdict *ret_verdict, Error *error);
