/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Stream: somebody's file, pipe or socket that a state image is written to or read from. Its descriptor is shared with whoever
 * gave it: it is never made non-blocking, and nothing else of it is changed. Whoever is at the other end may stall, which is
 * borne for a while, or be gone; and the transfer may be cancelled at any time.
 */

#include "util/cleanup.h"

/* A peer that does not take or give a byte for so long counts as dead: what TCP's keepalive or a busy disk needs is less. */
#define STREAM_STALL_USEC UINT64_C(30000000)

/*
 * Nor is one alive that lets fewer bytes than this through while it was waited for twice as long: with a byte now and then it
 * would keep a vGPU claimed, and a worker, for ever. Twice, as one that works in bursts may pause for nearly a stall between
 * them; the bytes are what a modem's line carries in that time. The time that a driver or a disk takes is not the peer's.
 */
#define STREAM_STALL_BYTES UINT64_C(65536)
#define STREAM_WINDOW_STALLS 2U

/* So soon it is said that a peer stalls, and then so often. */
#define STREAM_QUIET_USEC UINT64_C(100000)
#define STREAM_STILL_QUIET_USEC UINT64_C(1000000)

/* What moved() may return where more may not go through, which no system call says: what EDQUOT is, is the disk's word. */
#define STREAM_OVER_LIMIT (-EXFULL)

typedef struct Stream {
        int fd;
        int cancel_fd; /* readable or hung up: stop; -EBADF: nobody can */
        uint64_t stall_usec;
        uint64_t n_bytes; /* that went through */
        uint64_t window_usec; /* how long the peer was waited for since n_bytes was window_bytes */
        uint64_t window_bytes;
        bool is_socket;
        bool is_pipe;
        /* Called when some bytes went through, NULL: by nobody. What it returns that is negative ends the transfer. */
        int (*moved)(struct Stream *stream, void *userdata);
        /* Called when nothing has gone through for STREAM_QUIET_USEC, and as long as nothing does; NULL: nobody. */
        void (*quiet)(struct Stream *stream, void *userdata);
        void *userdata; /* of both */
} Stream;

/* -EBADF, or -EINVAL if it is nothing that bytes go through one after the other. */
int stream_init(Stream *stream, int fd, int cancel_fd, uint64_t stall_usec);

/*
 * All of it. -ECANCELED: it is to stop; -ETIMEDOUT: the peer stalls, or as good as that; -EPIPE: nobody reads any more
 * (SIGPIPE must be ignored); otherwise what write(2) says, as -ENOSPC.
 */
int stream_write(Stream *stream, const void *data, size_t size);

/* As much as there is, up to size: less only at the end. Errors as above. */
int stream_read(Stream *stream, void *data, size_t size, size_t *ret_n);

/* -ECANCELED if it is to stop. */
int stream_check(const Stream *stream);
