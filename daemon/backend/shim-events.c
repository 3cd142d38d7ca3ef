/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Shim events: what a driver of the open shim tells by itself: who opens and closes vGPUs, and what is wrong with the
 * device.
 */

#include "backend/shim-types.h"
#include "util/text.h"

int shim_subscribe(const ShimTypes *t, const Host *host, int fd) {
        struct mdevgpu_subscribe args = {
                .size = sizeof(args),
                .event_size = sizeof(struct mdevgpu_event),
                .mask = MDEVGPU_EVENT_MASK(MDEVGPU_EVENT_TYPES) | MDEVGPU_EVENT_MASK(MDEVGPU_EVENT_VGPU_OPENED) |
                        MDEVGPU_EVENT_MASK(MDEVGPU_EVENT_VGPU_CLOSED) | MDEVGPU_EVENT_MASK(MDEVGPU_EVENT_GOING) |
                        MDEVGPU_EVENT_MASK(MDEVGPU_EVENT_ERROR),
        };
        int r;

        if (!(t->identity.capabilities & MDEVGPU_CAP_EVENTS) || !(t->identity.capabilities & MDEVGPU_CAP_USAGE))
                return -EBADF;

        r = host->ops->ioctl(host, fd, MDEVGPU_SUBSCRIBE, &args);
        if (r >= 0)
                r = host->ops->watch_node(host, fd);
        return r < 0 ? -EBADF : r;
}

static int read_use(const struct mdevgpu_event *e, WorkerEvent *ret_event) {
        *ret_event = (WorkerEvent){
                .kind = WORKER_EVENT_USE,
                .use = e->type == MDEVGPU_EVENT_VGPU_OPENED ? VGPU_USE_YES : VGPU_USE_NO,
                .pid = e->pid <= INT32_MAX ? (int32_t)e->pid : 0,
        };
        (void)text_format_uuid(e->uuid, ret_event->uuid);
        return 1;
}

static int read_device_error(const struct mdevgpu_event *e, WorkerEvent *ret_event) {
        *ret_event = (WorkerEvent){ .kind = WORKER_EVENT_ERROR, .code = e->code };
        if (!text_format_uuid(e->uuid, ret_event->uuid))
                ret_event->uuid[0] = '\0'; /* it concerns the GPU */
        if (memchr(e->text, '\0', sizeof(e->text)))
                (void)text_copy(ret_event->text, sizeof(ret_event->text), e->text);
        text_sanitize(ret_event->text);
        return 1;
}

int shim_read_event(const Host *host, int watch_fd, WorkerEvent *ret_event) {
        struct mdevgpu_event e;
        ssize_t n;

        n = host->ops->read_node(host, watch_fd, &e, sizeof(e));
        if (n < 0)
                return (int)n;
        if (n != (ssize_t)sizeof(e))
                return -EPROTO;

        switch (e.type) {
        case MDEVGPU_EVENT_VGPU_OPENED:
        case MDEVGPU_EVENT_VGPU_CLOSED:
                return read_use(&e, ret_event);
        case MDEVGPU_EVENT_ERROR:
                return read_device_error(&e, ret_event);
        case MDEVGPU_EVENT_LOST:
        case MDEVGPU_EVENT_TYPES:
        case MDEVGPU_EVENT_GOING:
                *ret_event = (WorkerEvent){ .kind = WORKER_EVENT_CHANGED };
                return 1;
        default:
                return 0;
        }
}
