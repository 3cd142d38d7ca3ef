/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * NVIDIA events: what is heard of a card between two jobs. The resource manager tells when a virtual machine begins and
 * ends with a vGPU; for that its nodes have to be open, which keeps others from the card: so it is listened to only as long
 * as the card has a vGPU, which keeps them from it anyway. And nvidia-vgpud, which discards what others have registered, is
 * noticed when it ends: by its program's file, which inotify (7) says is closed then. Nothing is asked again and again.
 */

#include "backend/nvidia-probe.h"

typedef struct NvidiaEvents {
        int poll_fd; /* epoll of those below; -EBADF: none yet */
        int program_fd; /* of nvidia-vgpud's end; -EBADF: it is not installed */
        int event_fd; /* another open control node, by which events are told; -EBADF: not listening */
        NvidiaRm rm; /* whose events they are */
        unsigned n_empty; /* how often in a row there was nothing to fetch */
} NvidiaEvents;

#define NVIDIA_EVENTS_NULL                                                                                             \
        ((NvidiaEvents){ .poll_fd = -EBADF, .program_fd = -EBADF, .event_fd = -EBADF, .rm = NVIDIA_RM_NULL })

/* Listens to the card or no longer; that it cannot is no error: then it is read when something else says so. */
void nvidia_events_update(NvidiaEvents *e, const Host *host, const char *gpu, bool has_vgpu);
void nvidia_events_done(NvidiaEvents *e);

/* As a Backend has them. */
int nvidia_events_watch(const NvidiaEvents *e);
int nvidia_events_hear(NvidiaEvents *e, const Host *host, WorkerEvent *ret_event);
