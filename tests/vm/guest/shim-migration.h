/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * VFIO migration, version 2, as its user sees it: states, data descriptors, whole streams. Debian 12's linux/vfio.h is of
 * 6.1 and lacks what came later; the numbers are those of Linux 6.12's.
 */

#include "shim-vfio.h"

enum {
        ERROR,
        STOP,
        RUNNING,
        STOP_COPY,
        RESUMING,
        RUNNING_P2P,
        PRE_COPY,
        PRE_COPY_P2P,
        N_STATES
};

enum {
        HAS_STOP_COPY = 1,
        HAS_P2P = 2,
        HAS_PRE_COPY = 4
};

#define FEATURE_MIGRATION 1
#define FEATURE_STATE 2
#define FEATURE_DMA_LOGGING_START 6
#define FEATURE_DATA_SIZE 9

struct precopy_info {
        uint32_t argsz, flags;
        uint64_t initial_bytes, dirty_bytes;
};

#define GET_PRECOPY_INFO _IO(VFIO_TYPE, VFIO_BASE + 21)

static const char *const state_names[N_STATES] = { "ERROR",    "STOP",        "RUNNING",  "STOP_COPY",
                                                   "RESUMING", "RUNNING_P2P", "PRE_COPY", "PRE_COPY_P2P" };

/* 0 or -1 with errno; data goes in and out, 8 bytes of it. */
static inline int feature(int device, uint32_t flags, void *data) {
        struct {
                struct vfio_device_feature head;
                uint64_t data;
        } args = { .head = { .argsz = sizeof(args), .flags = flags } };
        int r;

        if (data)
                memcpy(&args.data, data, sizeof(args.data));
        else
                args.head.argsz = sizeof(args.head);
        r = ioctl(device, VFIO_DEVICE_FEATURE, &args);
        if (r >= 0 && data)
                memcpy(data, &args.data, sizeof(args.data));
        return r;
}

static inline int migration_flags(int device) {
        uint64_t flags = 0;

        return feature(device, VFIO_DEVICE_FEATURE_GET | FEATURE_MIGRATION, &flags) < 0 ? -1 : (int)flags;
}

static inline int state_get(int device) {
        int32_t data[2] = { -1, -1 };

        return feature(device, VFIO_DEVICE_FEATURE_GET | FEATURE_STATE, data) < 0 ? -1 : data[0];
}

/* 0 or -1 with errno; *ret_fd is -1 where the step begins no session. */
static inline int state_set(int device, int state, int *ret_fd) {
        int32_t data[2] = { state, -1 };
        int r;

        r = feature(device, VFIO_DEVICE_FEATURE_SET | FEATURE_STATE, data);
        *ret_fd = r < 0 ? -1 : data[1];
        return r;
}

/* The same for steps that shall begin none */
static inline int state_go(int device, int state) {
        int fd;

        if (state_set(device, state, &fd) < 0)
                return -1;
        if (fd >= 0) {
                close(fd);
                errno = EPROTO;
                return -1;
        }
        return 0;
}

struct image {
        uint8_t *bytes;
        size_t n, room;
};

static inline void image_free(struct image *image) {
        free(image->bytes);
        *image = (struct image){};
}

/* Reads on until the stream has no more: 0 at its end, -1 with errno, which is ENOMSG while the vGPU works. */
static inline int image_read(struct image *image, int fd, size_t chunk) {
        ssize_t n;

        for (;;) {
                if (image->room - image->n < chunk) {
                        image->room = image->room * 2 + chunk;
                        image->bytes = realloc(image->bytes, image->room);
                        if (!image->bytes)
                                abort();
                }
                n = read(fd, image->bytes + image->n, chunk);
                if (n <= 0)
                        return n;
                image->n += n;
        }
}

/* 0 or -1 with errno */
static inline int image_write(const uint8_t *bytes, size_t n, int fd, size_t chunk) {
        size_t done = 0;
        ssize_t k;

        while (done < n) {
                k = write(fd, bytes + done, n - done < chunk ? n - done : chunk);
                if (k <= 0)
                        return -1;
                done += k;
        }
        return 0;
}

/* From RUNNING to STOP_COPY, with the whole state; 0 or -1 with errno */
static inline int image_save(struct image *image, int device, size_t chunk) {
        int fd, r;

        *image = (struct image){};
        if (state_set(device, STOP_COPY, &fd) < 0)
                return -1;
        r = image_read(image, fd, chunk);
        close(fd);
        return r;
}

/* From any state to RESUMING, and to the state that is asked for; 0 or -1 with errno */
static inline int image_load(const uint8_t *bytes, size_t n, int device, size_t chunk, int state) {
        int fd, r;

        if (state_set(device, RESUMING, &fd) < 0)
                return -1;
        r = image_write(bytes, n, fd, chunk);
        close(fd);
        return state_go(device, state) < 0 ? -1 : r;
}
