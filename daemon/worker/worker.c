/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "worker/protocol.h"
#include "worker/runner.h"
#include "worker/worker.h"

/* Descriptors that came with a frame. */
typedef struct Passed {
        int fds[JOB_FDS_MAX];
        size_t n;
        bool too_many;
} Passed;

static void passed_done(Passed *passed) {
        for (; passed->n > 0; passed->n--)
                fd_close(passed->fds[passed->n - 1]);
}

static void take_fds(struct msghdr *m, Passed *passed) {
        passed->too_many = passed->too_many || (m->msg_flags & MSG_CTRUNC);
        for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
                size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

                if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
                        continue;
                for (size_t i = 0; i < n; i++) {
                        int fd;

                        memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
                        if (passed->n < JOB_FDS_MAX)
                                passed->fds[passed->n++] = fd;
                        else {
                                passed->too_many = true;
                                fd_close(fd);
                        }
                }
        }
}

static ssize_t receive(int fd, void *data, size_t size, Passed *passed) {
        union {
                struct cmsghdr head; /* for its alignment */
                uint8_t space[CMSG_SPACE(JOB_FDS_MAX * sizeof(int))];
        } control;
        struct iovec v = { .iov_base = data, .iov_len = size };
        struct msghdr m = {
                .msg_iov = &v,
                .msg_iovlen = 1,
                .msg_control = &control,
                .msg_controllen = sizeof(control),
        };
        ssize_t n;

        n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
        if (n >= 0)
                take_fds(&m, passed);
        return n;
}

/* 1, or 0 at the end of the stream before the first byte. */
static int read_all(int fd, void *data, size_t size, Passed *passed) {
        size_t n = 0;

        while (n < size) {
                ssize_t k = receive(fd, (uint8_t *)data + n, size - n, passed);

                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return negative_errno();
                if (k == 0)
                        return n == 0 ? 0 : -ECONNRESET;
                n += (size_t)k;
        }

        return 1;
}

static int write_all(int fd, const void *data, size_t size) {
        size_t n = 0;

        while (n < size) {
                ssize_t k = send(fd, (const uint8_t *)data + n, size - n, MSG_NOSIGNAL);

                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return negative_errno();
                n += (size_t)k;
        }

        return 0;
}

static int send_result(int fd, uint32_t number, JobKind kind, const JobResult *result) {
        WireWriter w = {};
        int r;

        protocol_put_result(&w, number, kind, result);
        r = w.error < 0 ? w.error : write_all(fd, w.data, w.size);
        wire_writer_done(&w);
        return r;
}

static int serve_frame(int fd, BackendContext *c, const uint8_t *body, size_t size, uint32_t number,
                       const Passed *passed) {
        JobResult result;
        DecodedJob job;
        int r;

        r = protocol_get_job(body, size, &job);
        if (r < 0)
                return r;
        if (job.job.n_fds != passed->n || passed->too_many) {
                decoded_job_done(&job);
                return -EBADMSG;
        }

        job.job.fds = passed->fds;
        job_result_init(&result);
        runner_run(c, &job.job, &result);
        r = send_result(fd, number, job.job.kind, &result);
        job_result_done(&result);
        decoded_job_done(&job);
        return r;
}

static int serve_one(int fd, BackendContext *c) {
        _cleanup_(passed_done) Passed passed = {};
        _cleanup_(freep) uint8_t *body = NULL;
        uint32_t header[2];
        size_t size;
        int r;

        r = read_all(fd, header, sizeof(header), &passed);
        if (r <= 0)
                return r;
        if (header[0] < sizeof(uint32_t) || header[0] > WIRE_FRAME_MAX)
                return -EBADMSG;

        size = header[0] - sizeof(uint32_t);
        body = malloc(MAX(size, 1U));
        if (!body)
                return -ENOMEM;

        r = size > 0 ? read_all(fd, body, size, &passed) : 1;
        if (r <= 0)
                return r < 0 ? r : -ECONNRESET;

        r = serve_frame(fd, c, body, size, header[1], &passed);
        return r < 0 ? r : 1;
}

static int send_event(int fd, const WorkerEvent *event) {
        WireWriter w = {};
        int r;

        protocol_put_event(&w, event);
        r = w.error < 0 ? w.error : write_all(fd, w.data, w.size);
        wire_writer_done(&w);
        return r;
}

/* Tells what the driver has to tell. Only between two jobs, so that what a job read is never told over what came later. */
static int tell_event(int fd, BackendContext *c) {
        WorkerEvent event = {};
        int r;

        r = c->backend->hear(c, &event);
        return r > 0 ? send_event(fd, &event) : r;
}

/* Waits for a job, and hears the driver meanwhile. 1: something was done; 0: the daemon has ended. */
static int serve(int fd, BackendContext *c) {
        struct pollfd fds[] = { { .fd = fd, .events = POLLIN }, { .fd = runner_watch(c), .events = POLLIN } };
        int r;

        r = poll(fds, ELEMENTSOF(fds), -1);
        if (r < 0)
                return errno == EINTR ? 1 : negative_errno();
        if (fds[1].revents != 0) {
                r = tell_event(fd, c);
                if (r < 0)
                        return r;
        }

        return fds[0].revents != 0 ? serve_one(fd, c) : 1;
}

/* That the daemon is gone shows when the job has ended. */
static void tell_progress(const WorkerEvent *event, void *userdata) {
        const int *fd = userdata;

        (void)send_event(*fd, event);
}

int worker_serve(int socket_fd, const Host *host, const char *gpu) {
        BackendContext c;
        int r;

        /* A successor of the daemon judges by what there is, and that must not change under its hands. What a driver is at
         * in the kernel is brought to an end all the same. */
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        /* Somebody's pipe may be closed while it is written to: that is an error of the write, and what was begun is ended. */
        (void)signal(SIGPIPE, SIG_IGN);

        runner_init(&c, host, gpu);
        c.tell = tell_progress;
        c.tell_userdata = &socket_fd;
        do
                r = serve(socket_fd, &c);
        while (r > 0);
        runner_done(&c);

        /* The daemon may end in the middle of an answer: nothing is wrong with that. */
        return r == -EPIPE || r == -ECONNRESET ? 0 : r;
}
