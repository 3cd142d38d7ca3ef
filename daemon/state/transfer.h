/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Transfer: a vGPU's state out of its device into an image, and back. Whatever happens, the device runs afterwards, or the
 * error says that it could not be put back.
 */

#include "state/device.h"
#include "state/image.h"

typedef struct TransferOptions {
        bool precopy; /* where the driver can */
        bool stay_stopped; /* save: it is left in STOP, if all of it went well */
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
