/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <time.h>

#include "state/stream.h"

/* /dev/null and /dev/full: major number 1 (Linux, Documentation/admin-guide/devices.txt). */
static bool is_memory(const struct stat *st) {
        return S_ISCHR(st->st_mode) && major(st->st_rdev) == 1;
}

int stream_init(Stream *stream, int fd, int cancel_fd, uint64_t stall_usec) {
        struct stat st;

        if (fstat(fd, &st) < 0)
                return negative_errno();
        /* An epoll, say, is none of these, and a terminal may keep whoever writes to it. */
        if (!S_ISREG(st.st_mode) && !is_memory(&st) && !S_ISFIFO(st.st_mode) && !S_ISSOCK(st.st_mode))
                return -EINVAL;

        *stream = (Stream){
                .fd = fd,
                .cancel_fd = cancel_fd,
                .stall_usec = stall_usec,
                .is_socket = S_ISSOCK(st.st_mode),
                .is_pipe = S_ISFIFO(st.st_mode),
        };
        return 0;
}

static uint64_t monotonic_usec(void) {
        struct timespec ts;

        (void)clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t)ts.tv_sec * 1000000U + (uint64_t)ts.tv_nsec / 1000U;
}

/* 1: one of them is ready. */
static int poll_for(struct pollfd fds[static 2], int timeout) {
        int r;

        do
                r = poll(fds, 2, timeout);
        while (r < 0 && errno == EINTR);
        return r < 0 ? negative_errno() : r > 0;
}

static int wait_long(Stream *stream, struct pollfd fds[static 2]) {
        uint64_t waited = 0;
        int r = 0;

        while (r == 0 && waited < stream->stall_usec) {
                uint64_t usec = waited == 0 ? STREAM_QUIET_USEC : STREAM_STILL_QUIET_USEC;

                usec = MIN(usec, stream->stall_usec - waited);
                r = poll_for(fds, (int)(usec / 1000U));
                waited += usec;
                if (r == 0 && stream->quiet)
                        stream->quiet(stream, stream->userdata);
        }
        return r;
}

/* Until bytes can go through. A file always can, and its disk is the kernel's to wait for. */
static int wait_for(Stream *stream, short events) {
        struct pollfd fds[] = { { .fd = stream->fd, .events = events },
                                { .fd = stream->cancel_fd >= 0 ? stream->cancel_fd : -1, .events = POLLIN } };
        uint64_t begun;
        int r;

        /* Only what is not ready is waited for. */
        r = poll_for(fds, 0);
        if (r == 0) {
                begun = monotonic_usec();
                r = wait_long(stream, fds);
                stream->window_usec += monotonic_usec() - begun;
        }
        if (r < 0)
                return r;
        if (fds[1].revents != 0)
                return -ECANCELED;
        return r > 0 ? 0 : -ETIMEDOUT;
}

int stream_check(const Stream *stream) {
        struct pollfd fd = { .fd = stream->cancel_fd, .events = POLLIN };

        return stream->cancel_fd >= 0 && poll(&fd, 1, 0) > 0 ? -ECANCELED : 0;
}

/*
 * Never waits for the peer, whom only poll() waits for: so much is taken of a pipe that is ready, where the kernel cannot be
 * told not to wait (pipes know RWF_NOWAIT from 6.5 on).
 */
static ssize_t put(const Stream *stream, const void *data, size_t size) {
        const struct iovec v = { .iov_base = (void *)(uintptr_t)data, .iov_len = size };
        ssize_t n;

        if (stream->is_socket)
                return send(stream->fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (!stream->is_pipe)
                return write(stream->fd, data, size);

        n = pwritev2(stream->fd, &v, 1, -1, RWF_NOWAIT);
        return n >= 0 || errno != EOPNOTSUPP ? n : write(stream->fd, data, MIN(size, (size_t)PIPE_BUF));
}

/* What went through while the peer was waited for: is it enough? */
static int check_rate(Stream *stream) {
        uint64_t n = stream->n_bytes - stream->window_bytes;

        if (stream->window_usec < stream->stall_usec * STREAM_WINDOW_STALLS)
                return 0;

        stream->window_usec = 0;
        stream->window_bytes = stream->n_bytes;
        return n < STREAM_STALL_BYTES ? -ETIMEDOUT : 0;
}

static int count(Stream *stream, size_t n) {
        int r;

        stream->n_bytes += n;
        r = check_rate(stream);
        if (r < 0)
                return r;
        return stream->moved ? stream->moved(stream, stream->userdata) : 0;
}

/* Never waits for the peer either: another reader of the same pipe may have taken what was announced. */
static ssize_t get(const Stream *stream, void *data, size_t size) {
        const struct iovec v = { .iov_base = data, .iov_len = size };
        ssize_t n;

        if (stream->is_socket)
                return recv(stream->fd, data, size, MSG_DONTWAIT);
        if (!stream->is_pipe)
                return read(stream->fd, data, size);

        n = preadv2(stream->fd, &v, 1, -1, RWF_NOWAIT);
        return n >= 0 || errno != EOPNOTSUPP ? n : read(stream->fd, data, size);
}

static bool is_passing(int code) {
        return code == EINTR || code == EAGAIN;
}

int stream_write(Stream *stream, const void *data, size_t size) {
        const uint8_t *p = data;
        size_t n = 0;

        while (n < size) {
                ssize_t k;
                int r;

                r = wait_for(stream, POLLOUT);
                if (r < 0)
                        return r;

                k = put(stream, p + n, size - n);
                if (k < 0 && is_passing(errno))
                        continue;
                if (k <= 0)
                        return k < 0 ? negative_errno() : -EIO;
                n += (size_t)k;
                r = count(stream, (size_t)k);
                if (r < 0)
                        return r;
        }

        return 0;
}

int stream_read(Stream *stream, void *data, size_t size, size_t *ret_n) {
        uint8_t *p = data;
        size_t n = 0;

        while (n < size) {
                ssize_t k;
                int r;

                r = wait_for(stream, POLLIN);
                if (r < 0)
                        return r;

                k = get(stream, p + n, size - n);
                if (k < 0 && is_passing(errno))
                        continue;
                if (k < 0)
                        return negative_errno();
                if (k == 0)
                        break;
                n += (size_t)k;
                r = count(stream, (size_t)k);
                if (r < 0)
                        return r;
        }

        *ret_n = n;
        return 0;
}
