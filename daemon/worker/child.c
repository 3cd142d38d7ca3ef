/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "util/log.h"
#include "util/message-ids.h"
#include "util/text.h"
#include "worker/child.h"
#include "worker/process.h"

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata);
static int on_exited(sd_event_source *source, const siginfo_t *info, void *userdata);

int child_new(sd_event *event, ChildRole role, const char *gpu, const char *const *command, List *failing,
              const ChildOps *ops, void *userdata, Child **ret_child) {
        Child *child;

        child = calloc(1, sizeof(Child));
        if (!child)
                return -ENOMEM;

        list_init(&child->link);
        list_init(&child->queue);
        child->event = event;
        child->role = role;
        (void)text_copy(child->gpu, sizeof(child->gpu), gpu);
        child->command = command;
        child->failing = failing;
        child->ops = ops;
        child->userdata = userdata;
        child->fd = -EBADF;

        *ret_child = child;
        return 0;
}

static void child_uncount(Child *child) {
        if (!child->counted)
                return;

        child->counted = false;
        child->ops->uncounted(child, child->userdata);
}

/* Ends the connection, not the process. */
static void child_disconnect(Child *child) {
        child->io = sd_event_source_disable_unref(child->io);
        child->deadline = sd_event_source_disable_unref(child->deadline);
        child->fd = fd_close(child->fd);
        child->n_input = 0;
}

Child *child_free(Child *child) {
        PlatformJob *job;

        if (!child)
                return NULL;

        list_unlink(&child->link);
        child_disconnect(child);
        sd_event_source_disable_unref(child->exited);
        LIST_FOREACH(job, &child->queue, link)
                platform_job_free(job);
        platform_job_free(child->running);
        free(child->input);
        free(child);
        return NULL;
}

static int child_start(Child *child) {
        int r;

        r = process_spawn(child->command, child->gpu, &child->pid, &child->fd);
        if (r < 0)
                return r;
        child->statistics->n_started++;

        r = sd_event_add_child(child->event, &child->exited, child->pid, WEXITED, on_exited, child);
        if (r >= 0)
                r = sd_event_add_io(child->event, &child->io, child->fd, EPOLLIN, on_io, child);
        if (r < 0) {
                /* It has not been told anything yet: nothing holds it, and it ends at once. */
                (void)kill(child->pid, SIGKILL);
                child_disconnect(child);
                if (!child->exited) {
                        (void)waitpid(child->pid, NULL, 0);
                        child->pid = 0;
                }
        }

        return r;
}

/* Hands the result to whoever asked and frees the job. The child may be gone afterwards. */
static void finish_job(PlatformJob *job, JobResult *result) {
        JobListener listener = job->listener;

        platform_job_free(job);
        if (listener.done)
                listener.done(result, listener.userdata);
        job_result_done(result);
}

static void fail_job(PlatformJob *job, int code, const char *what) {
        JobResult result;

        job_result_init(&result);
        (void)error_set(&result.error, code, "%s", what);
        finish_job(job, &result);
}

/* What waits fails with this. */
static void fail_queue(Child *child, int code, const char *what) {
        while (!list_is_empty(&child->queue)) {
                PlatformJob *job = LIST_FIRST(&child->queue, PlatformJob, link);

                list_unlink(&job->link);
                child->n_queued--;
                fail_job(job, code, what);
        }
}

/* "GPU 0000:41:00.0", or what else its worker is for. */
static const char *child_subject(const Child *child) {
        return child->role == CHILD_STORE || child->role == CHILD_TRANSFER || streq(child->gpu, "host") ? "" : "GPU ";
}

/* What it is in the middle of can be ended: it only looks, or another puts the vGPU back that it has open. What hangs in somebody
 * else's file system or terminal ends by that; what hangs in a driver, not before the driver lets it. */
static bool is_killed(const Child *child) {
        return child->role == CHILD_USERS || child->role == CHILD_TRANSFER;
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata) {
        Child *child = userdata;
        char what[128];

        child->deadline = sd_event_source_disable_unref(child->deadline);
        child->stuck = true;
        child->statistics->n_stuck++;
        log_full(LOG_WARNING, LOG_FIELDS("MESSAGE_ID", MESSAGE_WORKER_STUCK, "MDEVGPU_GPU", child->gpu),
                 "Worker process %i for %s%s is stuck; it is %s", (int)child->pid, child_subject(child), child->gpu,
                 is_killed(child) ? "killed" : "left alone");

        if (child->running && child->running->listener.timeout)
                child->running->listener.timeout(child->pid, child->running->listener.userdata);

        (void)snprintf(what, sizeof(what), "worker process %i is stuck in the kernel or its driver", (int)child->pid);
        fail_queue(child, -ERROR_BUSY, what);
        if (is_killed(child) && child->pid > 0)
                (void)kill(child->pid, SIGKILL);
        child_uncount(child);
        return 0;
}

static int set_events(Child *child, bool writable) {
        return sd_event_source_set_io_events(child->io, EPOLLIN | (writable ? EPOLLOUT : 0U));
}

/* A job's descriptors go with the first byte of its frame. */
static ssize_t send_some(Child *child) {
        PlatformJob *job = child->running;
        union {
                struct cmsghdr head; /* for its alignment */
                uint8_t space[CMSG_SPACE(sizeof(job->fds))];
        } control = {};
        struct iovec v = { .iov_base = job->frame.data + child->sent, .iov_len = job->frame.size - child->sent };
        struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
        size_t size = job->n_fds * sizeof(int);
        ssize_t n;

        if (job->n_fds > 0) {
                m.msg_control = &control;
                m.msg_controllen = CMSG_SPACE(size);
                control.head.cmsg_level = SOL_SOCKET;
                control.head.cmsg_type = SCM_RIGHTS;
                control.head.cmsg_len = CMSG_LEN(size);
                memcpy(CMSG_DATA(&control.head), job->fds, size);
        }

        n = sendmsg(child->fd, &m, MSG_NOSIGNAL);
        if (n > 0)
                platform_job_close_fds(job);
        return n;
}

/* Sends what is left of the running job's frame, as far as the socket takes it. */
static int child_send(Child *child) {
        const WireWriter *frame = &child->running->frame;

        while (child->sent < frame->size) {
                ssize_t n = send_some(child);

                if (n < 0 && errno == EAGAIN)
                        return set_events(child, /* writable= */ true);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return negative_errno();
                child->sent += (size_t)n;
        }

        return set_events(child, /* writable= */ false);
}

static int begin_job(Child *child, PlatformJob *job) {
        int r;

        if (++child->number == PROTOCOL_EVENT)
                child->number++;
        memcpy(job->frame.data + sizeof(uint32_t), &child->number, sizeof(uint32_t));
        child->sent = 0;
        job->begun = true;
        child->running = job;

        r = sd_event_add_time_relative(child->event, &child->deadline, CLOCK_MONOTONIC, job->timeout_usec, 0,
                                       on_deadline, child);
        return r < 0 ? r : child_send(child);
}

/* The last process is still ending: its successor waits for that, but not for ever, as its driver may hold it. */
static int child_await_end(Child *child) {
        const PlatformJob *job = LIST_FIRST(&child->queue, PlatformJob, link);

        if (child->deadline)
                return 0;

        return sd_event_add_time_relative(child->event, &child->deadline, CLOCK_MONOTONIC, job->timeout_usec, 0,
                                          on_deadline, child);
}

/* Begins the next job, if there is one and the child is free. Negative: no process can be started. */
static int child_pump(Child *child) {
        PlatformJob *job;
        int r;

        if (child->running || list_is_empty(&child->queue))
                return 0;

        if (child->fd < 0) {
                if (child->pid > 0)
                        return child_await_end(child);
                r = child_start(child);
                if (r < 0)
                        return r;
        }

        job = LIST_FIRST(&child->queue, PlatformJob, link);
        list_unlink(&job->link);
        child->n_queued--;
        r = begin_job(child, job);
        /* A broken socket shows when it is read, and the job ends by that. */
        if (r < 0 && r != -EPIPE && r != -ECONNRESET) {
                child->running = NULL;
                platform_job_fail_soon(job, child->failing, child->event, r);
                child_disconnect(child);
                (void)kill(child->pid, SIGKILL);
        }

        return 0;
}

int child_push(Child *child, PlatformJob *job) {
        int r;

        list_append(&child->queue, &job->link);
        job->child = child;
        child->n_queued++;

        r = child_pump(child);
        if (r >= 0)
                return 0;

        list_unlink(&job->link);
        job->child = NULL;
        child->n_queued--;
        return r;
}

/* From the loop: whoever is told may let this child go, which has no process that would keep it. */
static void fail_queue_soon(Child *child, int code) {
        while (!list_is_empty(&child->queue)) {
                PlatformJob *job = LIST_FIRST(&child->queue, PlatformJob, link);

                list_unlink(&job->link);
                child->n_queued--;
                platform_job_fail_soon(job, child->failing, child->event, code);
        }
}

static void child_next(Child *child) {
        int r;

        r = child_pump(child);
        if (r < 0)
                fail_queue_soon(child, r);
        if (!child->running && list_is_empty(&child->queue))
                child->ops->idle(child, child->userdata);
}

void child_leave(Child *child) {
        child_uncount(child);
        child->role = CHILD_LEAVING;
        fail_queue(child, -ERROR_NO_SUCH_GPU, "the GPU has gone");

        child_disconnect(child);
        child->running = platform_job_free(child->running);
        if (child->pid == 0)
                child_free(child);
}

/* The process has broken its side: it says nothing that can be trusted any more. */
static void child_break(Child *child, const char *what) {
        PlatformJob *job = TAKE(child->running);
        char sentence[SYSFS_NAME_SIZE + 128];

        child->statistics->n_lost++;
        (void)snprintf(sentence, sizeof(sentence), "the worker process of %s%s %s", child_subject(child),
                       child->gpu, what);
        log_full(LOG_WARNING, LOG_FIELDS("MESSAGE_ID", MESSAGE_WORKER_LOST, "MDEVGPU_GPU", child->gpu),
                 "Process %i: %s", (int)child->pid, sentence);
        child_disconnect(child);
        child->stuck = false;
        if (child->pid > 0)
                (void)kill(child->pid, SIGKILL);
        if (job)
                fail_job(job, -EPIPE, sentence);
        else
                child->ops->lost(child, child->userdata);
}

/* It lives: its deadline is that of the next piece. */
static int handle_progress(Child *child, const TransferProgress *progress) {
        const PlatformJob *job = child->running;
        int r = 0;

        if (!job || child->role != CHILD_TRANSFER)
                return -EBADMSG;

        if (child->deadline)
                r = sd_event_source_set_time_relative(child->deadline, job->timeout_usec);
        if (job->listener.progress)
                job->listener.progress(progress, job->listener.userdata);
        return r;
}

static int handle_event(Child *child, const uint8_t *body, size_t size) {
        WorkerEvent event;
        int r;

        r = protocol_get_event(body, size, &event);
        if (r < 0)
                return r;
        if (event.kind == WORKER_EVENT_PROGRESS)
                return handle_progress(child, &event.progress);

        child->ops->heard(child, &event, child->userdata);
        return 0;
}

/* A whole frame: the running job's result, something that the worker heard, or nonsense. */
static int handle_frame(Child *child, uint32_t number, const uint8_t *body, size_t size) {
        PlatformJob *job = child->running;
        JobResult result;
        int r;

        if (number == PROTOCOL_EVENT)
                return handle_event(child, body, size);
        if (!job || number != child->number)
                return -EBADMSG;

        r = protocol_get_result(body, size, job->kind, &result);
        if (r < 0)
                return r;

        child->running = NULL;
        child->stuck = false;
        child->deadline = sd_event_source_disable_unref(child->deadline);
        finish_job(job, &result);
        return 0;
}

static int child_reserve(Child *child, size_t size) {
        uint8_t *input;

        if (size <= child->input_allocated)
                return 0;

        input = realloc(child->input, size);
        if (!input)
                return -ENOMEM;

        child->input = input;
        child->input_allocated = size;
        return 0;
}

/* How many bytes there must be in all before there is anything to do: the header, then the frame. */
static int input_wanted(const Child *child, size_t *ret) {
        uint32_t length;

        if (child->n_input < PROTOCOL_HEADER_SIZE) {
                *ret = PROTOCOL_HEADER_SIZE;
                return 0;
        }

        memcpy(&length, child->input, sizeof(length));
        if (length < sizeof(uint32_t) || length > WIRE_FRAME_MAX)
                return -EBADMSG;

        *ret = sizeof(uint32_t) + length;
        return 0;
}

/* 1: a whole frame is there; 0: not yet; negative: the connection is over. */
static int child_receive(Child *child) {
        for (;;) {
                size_t wanted;
                ssize_t n;
                int r;

                r = input_wanted(child, &wanted);
                if (r < 0)
                        return r;
                if (child->n_input >= PROTOCOL_HEADER_SIZE && child->n_input == wanted)
                        return 1;

                r = child_reserve(child, wanted);
                if (r < 0)
                        return r;

                n = recv(child->fd, child->input + child->n_input, wanted - child->n_input, 0);
                if (n < 0 && errno == EAGAIN)
                        return 0;
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return n < 0 ? negative_errno() : -EPIPE;
                child->n_input += (size_t)n;
        }
}

static int child_read(Child *child) {
        uint32_t number;
        size_t size;
        int r;

        r = child_receive(child);
        if (r <= 0)
                return r;

        memcpy(&number, child->input + sizeof(uint32_t), sizeof(number));
        size = child->n_input - PROTOCOL_HEADER_SIZE;
        child->n_input = 0;
        return handle_frame(child, number, child->input + PROTOCOL_HEADER_SIZE, size);
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Child *child = userdata;
        int r = 0;

        if ((revents & EPOLLOUT) && child->running)
                r = child_send(child);
        if (r >= 0 && (revents & (EPOLLIN | EPOLLHUP | EPOLLERR)))
                r = child_read(child);

        if (r == -EPIPE || r == -ECONNRESET)
                child_break(child, child->running ? "ended in the middle of its work" : "ended by itself");
        else if (r < 0)
                child_break(child, "answered what makes no sense");

        /* A callback may have let the GPU go, and with it this child: then it waits for its process only. */
        if (child->role != CHILD_LEAVING)
                child_next(child);
        return 0;
}

static int on_exited(sd_event_source *source, const siginfo_t *info, void *userdata) {
        Child *child = userdata;
        bool late;

        child->exited = sd_event_source_disable_unref(child->exited);
        if (child->role == CHILD_LEAVING) {
                child_free(child);
                return 0;
        }

        /* What it wrote before its end is read first. */
        if (child->fd >= 0)
                (void)on_io(child->io, child->fd, EPOLLIN, child);
        child->pid = 0;
        /* Its end was given up: what it kept from being done can be done now. */
        late = child->stuck && !child->running;
        if (!child->running) {
                child->stuck = false;
                child->deadline = sd_event_source_disable_unref(child->deadline);
        }
        if (child->role == CHILD_LEAVING)
                child_free(child);
        else if (child->fd < 0) {
                child_next(child);
                if (late)
                        child->ops->lost(child, child->userdata);
        }

        return 0;
}
