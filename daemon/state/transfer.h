/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Transfer: a vGPU's state out of its device into an image, and back. Whatever happens, the device runs afterwards, or the
 * error says that it could not be put back.
 */

#include "state/device.h"
#include "state/image.h"

typedef enum TransferPhase {
        TRANSFER_PRE_COPY, /* out, while the device runs */
        TRANSFER_STOP_COPY, /* out, while it stands */
        TRANSFER_RESUMING, /* in */
        TRANSFER_PHASE_MAX,
        TRANSFER_PHASE_INVALID = -EINVAL,
} TransferPhase;

typedef struct TransferProgress {
        TransferPhase phase;
        uint64_t n_bytes; /* of data, that went through */
        uint64_t total; /* that there will be; UNKNOWN_U64 */
        uint64_t dirty; /* pre-copy: bytes that have changed since they were sent; UNKNOWN_U64 */
        uint64_t downtime_usec; /* since it stands; 0 while it runs */
        bool was_reset; /* save, at its end: it could be put back only as new, and holds nothing of what it did */
} TransferProgress;

typedef struct TransferOptions {
        bool precopy; /* where the driver can */
        void (*progress)(const TransferProgress *progress, void *userdata); /* between two frames */
        void *userdata;
} TransferOptions;

/*
 * The header has been written. A device that somebody left in the middle is settled first (state_device_settle()).
 * -ERROR_NOT_SUPPORTED: its driver gives no state; otherwise errors of the device (-ERROR_DRIVER_REJECTED) and of the stream.
 */
int transfer_save(StateDevice *device, ImageWriter *writer, Stream *stream, const TransferOptions *options,
                  TransferProgress *ret_progress, Error *error);

/*
 * The header has been read, and judged. Any error, of the image, of the stream or of a single write to the device, resets it: a
 * driver may run on with half of a state otherwise (observed: mtty of Linux 6.12).
 */
int transfer_restore(StateDevice *device, ImageReader *reader, const TransferOptions *options,
                     TransferProgress *ret_progress, Error *error);
