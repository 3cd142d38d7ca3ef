/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <sys/epoll.h>

#include "backend/nvidia-events.h"
#include "util/file.h"
#include "util/log.h"

/* NVIDIA's daemon that registers its types, and discards what there is. It runs once at boot and ends (vendor-documented);
 * whoever starts it anew has it do so again. */
#define VGPUD "nvidia-vgpud"

/* NVA081_NOTIFIERS_EVENT_VGPU_GUEST_* of cla081.h: created, initialising, destroyed. */
#define GUEST_EVENTS 3U

/* Events fetched at one time; more are fetched the next time. */
#define FETCH_MAX 64U

/* A node that says it has something to tell and has not would be asked for ever. */
#define EMPTY_MAX 16U

static void unwatch(const NvidiaEvents *e, int fd) {
        if (e->poll_fd >= 0 && fd >= 0)
                (void)epoll_ctl(e->poll_fd, EPOLL_CTL_DEL, fd, NULL);
}

static int watch(NvidiaEvents *e, int fd) {
        struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

        if (e->poll_fd < 0)
                e->poll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (e->poll_fd < 0)
                return negative_errno();

        return epoll_ctl(e->poll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? negative_errno() : 0;
}

static void end_listening(NvidiaEvents *e) {
        unwatch(e, e->event_fd);
        e->event_fd = fd_close(e->event_fd);
        nvidia_rm_close(&e->rm);
        e->n_empty = 0;
}

static int subscribe(NvidiaEvents *e) {
        int r = 0;

        for (uint32_t i = 0; r == 0 && i < GUEST_EVENTS; i++)
                r = nvidia_rm_listen(&e->rm, e->event_fd, i);
        return r;
}

static int begin_listening(NvidiaEvents *e, const Host *host, const char *gpu) {
        NvidiaVerdict verdict;
        Error error = ERROR_NULL;
        int r;

        r = nvidia_probe(&e->rm, host, gpu, &verdict, &error);
        if (r >= 0 && verdict.state != NVIDIA_HOST_READY)
                r = -EOPNOTSUPP;
        if (r >= 0)
                r = nvidia_rm_open_events(&e->rm, &e->event_fd);
        if (r == 0)
                r = subscribe(e);
        if (r == 0)
                r = watch(e, e->event_fd);
        return r;
}

static void end_program(NvidiaEvents *e) {
        unwatch(e, e->program_fd);
        e->program_fd = fd_close(e->program_fd);
}

/* Again each time: it may have been installed, or replaced, since. */
static void watch_program(NvidiaEvents *e, const Host *host) {
        int fd;

        if (e->program_fd >= 0 || !host->ops->watch_program)
                return;

        fd = host->ops->watch_program(host, VGPUD);
        if (fd < 0)
                return;

        e->program_fd = fd;
        if (watch(e, fd) < 0)
                end_program(e);
}

void nvidia_events_update(NvidiaEvents *e, const Host *host, const char *gpu, bool has_vgpu) {
        int r;

        watch_program(e, host);
        if (!has_vgpu) {
                end_listening(e);
                return;
        }
        if (e->event_fd >= 0)
                return;

        r = begin_listening(e, host, gpu);
        if (r != 0) {
                log_debug("GPU %s: its events cannot be heard: %i", gpu, r);
                end_listening(e);
        }
}

void nvidia_events_done(NvidiaEvents *e) {
        end_listening(e);
        end_program(e);
        e->poll_fd = fd_close(e->poll_fd);
}

int nvidia_events_watch(const NvidiaEvents *e) {
        return e->poll_fd;
}

/* True if a machine begins or ends with a vGPU. */
static bool fetch(NvidiaEvents *e) {
        bool more = true;
        unsigned n;

        for (n = 0; more && n < FETCH_MAX; n++)
                if (nvidia_rm_fetch_event(&e->rm, e->event_fd, &more) != 0)
                        break;

        e->n_empty = n > 0 ? 0 : e->n_empty + 1;
        if (e->n_empty >= EMPTY_MAX) {
                end_listening(e);
                return true; /* once more, as nothing is heard from now on */
        }

        return n > 0;
}

int nvidia_events_hear(NvidiaEvents *e, const Host *host, WorkerEvent *ret_event) {
        struct epoll_event event;
        char buffer[4096];
        bool changed;

        if (epoll_wait(e->poll_fd, &event, 1, 0) <= 0)
                return 0;

        if (event.data.fd == e->program_fd) {
                /* The file itself may have gone: it is looked for again at the next reading. */
                (void)host->ops->read_node(host, e->program_fd, buffer, sizeof(buffer));
                end_program(e);
                changed = true;
        } else if (event.events & (EPOLLERR | EPOLLHUP)) {
                end_listening(e);
                changed = true;
        } else
                changed = fetch(e);

        *ret_event = (WorkerEvent){ .kind = WORKER_EVENT_CHANGED };
        return changed;
}
