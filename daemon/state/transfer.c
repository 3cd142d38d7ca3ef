/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <time.h>

#include "state/transfer.h"

/*
 * Pre-copy has done what it can when so little is left that sending it takes no longer than the other steps (QEMU aims at
 * 300 ms of downtime; this is a hundredth of that on a slow disk), or when rounds do not bring less any more.
 */
#define DIRTY_ENOUGH (UINT64_C(1) << 20)
#define ROUNDS_MAX 30U
#define ROUNDS_IN_VAIN 3U

/* What a round sends at least before it counts as one that does not come to an end, as a device may write quicker than the
 * other side takes. */
#define ROUND_LEAST (UINT64_C(64) << 20)

typedef struct Saving {
        StateDevice *device;
        ImageWriter *writer;
        Stream *stream;
        const TransferOptions *options;
        TransferProgress progress;
        uint64_t stopped_usec; /* CLOCK_MONOTONIC; 0: it runs */
} Saving;

static uint64_t now_usec(void) {
        struct timespec ts;

        (void)clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t)ts.tv_sec * 1000000U + (uint64_t)ts.tv_nsec / 1000U;
}

static void report(const TransferOptions *options, const TransferProgress *progress) {
        if (options->progress)
                options->progress(progress, options->userdata);
}

static int read_error(const StateDevice *device, int r, Error *error) {
        return error_set(error, -ERROR_DRIVER_REJECTED, "The driver of vGPU %s does not give its state: %s",
                         device->name, strerrordesc_np(-r) ?: "unknown error");
}

/* Until the driver has no more for now (1: in PRE_COPY), or so many bytes were sent (as well), or it has none at all (0). */
static int copy_out(Saving *s, uint64_t most, Error *error) {
        const StateDevice *device = s->device;
        uint64_t before = s->progress.n_bytes;

        while (s->progress.n_bytes - before < most) {
                ssize_t n;
                int r;

                r = stream_check(s->stream);
                if (r < 0)
                        return error_set(error, -ERROR_CANCELLED, "It was cancelled");

                n = device->host->ops->read_data(device->host, device->data_fd, image_writer_get_buffer(s->writer),
                                                 IMAGE_FRAME_MAX);
                if (n == -EINTR)
                        continue;
                if (n == -ENOMSG && s->progress.phase == TRANSFER_PRE_COPY)
                        return 1;
                if (n < 0)
                        return read_error(device, (int)n, error);
                if (n == 0)
                        return 0;

                r = image_writer_put(s->writer, (size_t)n, error);
                if (r < 0)
                        return r;
                s->progress.n_bytes += (uint64_t)n;
                if (s->stopped_usec > 0)
                        s->progress.downtime_usec = now_usec() - s->stopped_usec;
                report(s->options, &s->progress);
        }

        return 1;
}

/* Both are the driver's word. */
static uint64_t add(uint64_t a, uint64_t b) {
        return b > UINT64_MAX - a ? UINT64_MAX : a + b;
}

/* While the device runs, round after round, as long as that brings less to send when it stands. */
static int pre_copy(Saving *s, Error *error) {
        uint64_t initial = 0, dirty = 0, least = UINT64_MAX;
        unsigned in_vain = 0;
        int r;

        s->progress.phase = TRANSFER_PRE_COPY;
        r = state_device_set_state(s->device, DEVICE_PRE_COPY, error);
        if (r >= 0 && state_device_get_precopy(s->device, &initial, &dirty) < 0)
                initial = dirty = 0;
        for (unsigned i = 0; r >= 0 && i < ROUNDS_MAX && in_vain < ROUNDS_IN_VAIN; i++) {
                r = copy_out(s, MAX(ROUND_LEAST, add(add(initial, dirty), IMAGE_FRAME_MAX)), error);
                if (r < 0)
                        return r;
                /* A driver that ends its stream here, or does not say what is left, has given what it gives before. */
                if (r == 0 || state_device_get_precopy(s->device, &initial, &dirty) < 0)
                        return 0;

                s->progress.dirty = add(initial, dirty);
                report(s->options, &s->progress);
                if (initial == 0 && dirty <= DIRTY_ENOUGH)
                        return 0;
                in_vain = s->progress.dirty < least ? 0 : in_vain + 1;
                least = MIN(least, s->progress.dirty);
        }

        return r < 0 ? r : 0;
}

static int stop_copy(Saving *s, Error *error) {
        int r;

        s->stopped_usec = now_usec();
        s->progress.phase = TRANSFER_STOP_COPY;
        s->progress.dirty = UNKNOWN_U64;
        report(s->options, &s->progress);
        r = state_device_set_state(s->device, DEVICE_STOP_COPY, error);
        if (r >= 0 && s->device->data_fd < 0)
                r = error_set(error, -ERROR_DRIVER_REJECTED, "The driver of vGPU %s gives no stream of its state",
                              s->device->name);
        return r < 0 ? r : copy_out(s, UINT64_MAX, error);
}

static int save(Saving *s, uint64_t flags, Error *error) {
        int r = 0;

        if (s->options->precopy && (flags & DEVICE_CAN_PRE_COPY))
                r = pre_copy(s, error);
        if (r >= 0)
                r = stop_copy(s, error);
        if (r >= 0 && s->progress.n_bytes == 0)
                return error_set(error, -ERROR_NOT_SUPPORTED,
                                 "The driver of vGPU %s gives an empty state: nothing could be "
                                 "restored of it",
                                 s->device->name);
        return r;
}

/* However it went; why: what went wrong so far, to which is added that it is not as it was. */
static int put_back(StateDevice *device, int r, bool stay_stopped, TransferProgress *progress, Error *why) {
        Error error = ERROR_NULL;
        char before[sizeof(why->message)];

        if (state_device_set_state(device, r >= 0 && stay_stopped ? DEVICE_STOP : DEVICE_RUNNING, &error) >= 0)
                return r;

        error = ERROR_NULL;
        memcpy(before, why->message, sizeof(before));
        progress->was_reset = state_device_reset(device, &error) >= 0;
        if (progress->was_reset && r < 0)
                error_fill(why, r, "%.400s; it was reset, and what it held is gone", before);
        if (progress->was_reset)
                return r;

        error_fill(why, r < 0 ? r : error.code, "%.240s%s%.200s; it does not run now", before,
                   before[0] != '\0' ? "; " : "", error.message);
        return why->code;
}

int transfer_save(StateDevice *device, ImageWriter *writer, Stream *stream, const TransferOptions *options,
                  TransferProgress *ret_progress, Error *error) {
        Saving s = {
                .device = device,
                .writer = writer,
                .stream = stream,
                .options = options,
                .progress = { .total = UNKNOWN_U64, .dirty = UNKNOWN_U64 },
        };
        uint64_t flags = 0;
        int r;

        r = state_device_get_flags(device, &flags, error);
        if (r >= 0 && !(flags & DEVICE_CAN_STOP_COPY))
                r = error_set(error, -ERROR_NOT_SUPPORTED, "The driver of vGPU %s gives no state", device->name);
        if (r >= 0)
                r = state_device_settle(device, error);
        if (r > 0)
                r = error_set(error, -ERROR_DRIVER_REJECTED,
                              "vGPU %s had been left with half a state or none, and was reset "
                              "now: there is nothing to save",
                              device->name);
        if (r < 0)
                return r;
        if (state_device_get_size(device, &s.progress.total) < 0)
                s.progress.total = UNKNOWN_U64;

        r = save(&s, flags, error);
        if (r >= 0)
                r = image_writer_finish(writer, error);
        r = put_back(device, r, options->stay_stopped, &s.progress, error);
        if (s.stopped_usec > 0)
                s.progress.downtime_usec = now_usec() - s.stopped_usec;
        *ret_progress = s.progress;
        return r;
}

static int write_all(StateDevice *device, const uint8_t *data, size_t size, Error *error) {
        size_t n = 0;

        while (n < size) {
                ssize_t k = device->host->ops->write_data(device->host, device->data_fd, data + n, size - n);

                if (k == -EINTR)
                        continue;
                if (k <= 0)
                        return error_set(error, -ERROR_DRIVER_REJECTED, "The driver of vGPU %s refuses the state: %s",
                                         device->name, k < 0 ? strerrordesc_np((int)-k) ?: "unknown error" : "no room");
                n += (size_t)k;
        }

        return 0;
}

static int restore(StateDevice *device, ImageReader *reader, const TransferOptions *options, TransferProgress *progress,
                   Error *error) {
        int r;

        r = state_device_set_state(device, DEVICE_RESUMING, error);
        if (r >= 0 && device->data_fd < 0)
                r = error_set(error, -ERROR_DRIVER_REJECTED, "The driver of vGPU %s takes no stream of a state",
                              device->name);
        while (r >= 0) {
                const uint8_t *data;
                size_t size;

                r = image_reader_next(reader, &data, &size, error);
                if (r < 0 || size == 0)
                        break;
                r = write_all(device, data, size, error);
                progress->n_bytes += size;
                report(options, progress);
        }
        if (r >= 0 && progress->n_bytes == 0)
                r = error_set(error, -EILSEQ, "The state image holds no data");

        /* The driver judges all of it now. */
        if (r >= 0)
                r = state_device_set_state(device, DEVICE_STOP, error);
        return r < 0 ? r : state_device_set_state(device, DEVICE_RUNNING, error);
}

int transfer_restore(StateDevice *device, ImageReader *reader, const TransferOptions *options,
                     TransferProgress *ret_progress, Error *error) {
        TransferProgress progress = { .phase = TRANSFER_RESUMING, .total = UNKNOWN_U64, .dirty = UNKNOWN_U64 };
        Error failure = ERROR_NULL;
        uint64_t flags;
        int r;

        r = state_device_get_flags(device, &flags, error);
        if (r >= 0)
                r = state_device_settle(device, error);
        if (r < 0)
                return r;

        progress.total = image_reader_get_header(reader)->size;
        r = restore(device, reader, options, &progress, error);
        if (r < 0 && state_device_reset(device, &failure) < 0) {
                char before[sizeof(error->message)];

                memcpy(before, error->message, sizeof(before));
                error_fill(error, r, "%.240s; %.200s; it does not run now", before, failure.message);
        }

        *ret_progress = progress;
        return r;
}
