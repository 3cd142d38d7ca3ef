/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Saved state: a vGPU's state under a name, in a file below /var/lib/mdevgpud, and how far one is on its way there or back.
 * What is here is plain: it crosses the wire.
 */

#include "core/platform.h"

/* Below /var/lib/mdevgpud, readable for root alone: it holds what was in the memory of guests. */
#define SAVED_STATES_FOLDER "states"
#define SAVED_STATE_SUFFIX ".state"

/* A name, with its NUL: long enough for a UUID and a date. */
#define SAVED_STATE_NAME_SIZE 65U

/* In one list: more than anybody looks through, and it fits a message of the bus. */
#define SAVED_STATES_MAX 4096U

/* Letters, digits, '.', '_' and '-', and no '.' at its beginning. */
bool saved_state_name_is_good(const char *name);

typedef enum TransferPhase {
        TRANSFER_PRE_COPY, /* out, while the device runs */
        TRANSFER_STOP_COPY, /* out, while it stands */
        TRANSFER_RESUMING, /* in */
        TRANSFER_PHASE_MAX,
        TRANSFER_PHASE_INVALID = -EINVAL,
} TransferPhase;

const char *transfer_phase_to_string(TransferPhase p);

struct TransferProgress {
        TransferPhase phase;
        uint64_t n_bytes; /* of data, that went through */
        uint64_t total; /* that there will be; UNKNOWN_U64 */
        uint64_t dirty; /* pre-copy: bytes that have changed since they were sent; UNKNOWN_U64 */
        uint64_t downtime_usec; /* since it stands; 0 while it runs */
        bool was_reset; /* at its end: it could be put back only as new, and holds nothing of what it did */
};
