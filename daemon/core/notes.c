/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "core/definition-files.h"
#include "core/manager.h"
#include "core/notes.h"
#include "core/operation.h"
#include "core/vgpu.h"
#include "util/log.h"
#include "util/text.h"

/* A note that is to go, or, without a UUID, what somebody who was killed has left. */
typedef struct Forgotten {
        List link; /* in manager->forgotten */
        Manager *manager;
        PlatformJob *job; /* NULL: not submitted yet, or it failed */
        char uuid[UUID_STRING_SIZE];
} Forgotten;

static Forgotten *find(const Manager *manager, const char *uuid) {
        Forgotten *f;

        LIST_FOREACH(f, &manager->forgotten, link)
                if (streq(f->uuid, uuid))
                        return f;

        return NULL;
}

static void forgotten_free(Forgotten *f) {
        list_unlink(&f->link);
        free(f);
}

/* The disk does not answer: it counts as gone all the same. */
static void on_timeout(pid_t pid, void *userdata) {
        const Forgotten *f = userdata;

        log_debug("The note of vGPU %s is not removed: process %i is stuck", f->uuid, (int)pid);
}

/* What failed is tried again when there is something else to remove, or was something to write. */
static void on_done(JobResult *result, void *userdata) {
        Forgotten *f = userdata;
        Manager *manager = f->manager;

        f->job = NULL;
        if (result->error.code < 0) {
                log_debug("The note of vGPU %s is not removed: %s", f->uuid, result->error.message);
                return;
        }

        forgotten_free(f);
        notes_submit(manager);
}

static void submit(Forgotten *f) {
        const JobListener listener = { .timeout = on_timeout, .done = on_done, .userdata = f };
        const Job job = { .kind = JOB_STORE,
                          .action = f->uuid[0] == '\0' ? STORE_CLEAN : STORE_FORGET,
                          .uuid = f->uuid,
                          .iommu_group = -1 };
        Platform *platform = f->manager->platform;
        const VGpu *vgpu = MAP_FIND(&f->manager->vgpus, f->uuid, VGpu, node);
        int r;

        /* It would come after what is being written, and remove that. */
        if (f->job || (vgpu && vgpu->operation && vgpu->operation->stores))
                return;

        r = platform->ops->submit(platform, "", &job, &listener, &f->job);
        if (r < 0)
                log_debug("The note of vGPU %s is not removed yet: %s", f->uuid, strerror(-r));
}

void notes_submit(Manager *manager) {
        Forgotten *f;

        LIST_FOREACH(f, &manager->forgotten, link)
                submit(f);
}

void notes_forget(Manager *manager, const char *uuid) {
        Forgotten *f = find(manager, uuid);

        if (!f) {
                f = calloc(1, sizeof(Forgotten));
                if (!f) /* it is dropped when a daemon starts */
                        return;
                f->manager = manager;
                (void)text_copy(f->uuid, sizeof(f->uuid), uuid);
                list_append(&manager->forgotten, &f->link);
        }

        notes_submit(manager);
}

void notes_settle(Manager *manager, const char *uuid) {
        Forgotten *f = find(manager, uuid);

        if (f && !f->job)
                forgotten_free(f);
}

void notes_clean(Manager *manager) {
        notes_forget(manager, "");
}

static void on_note(const char *uuid, void *userdata) {
        Manager *manager = userdata;
        const VGpu *vgpu;

        if (!uuid) {
                notes_clean(manager);
                return;
        }

        vgpu = MAP_FIND(&manager->vgpus, uuid, VGpu, node);
        if (!vgpu || !vgpu->file)
                notes_forget(manager, uuid);
}

void notes_prune(Manager *manager) {
        note_list(manager->host->var_fd, on_note, manager);
}

int notes_read(const Manager *manager, const char *uuid, Note *ret_note) {
        return find(manager, uuid) ? -ENOENT : note_read(manager->host->var_fd, uuid, ret_note);
}

void notes_free(Manager *manager) {
        Platform *platform = manager->platform;
        Forgotten *f;

        LIST_FOREACH(f, &manager->forgotten, link) {
                if (f->job)
                        platform->ops->forget(platform, f->job);
                forgotten_free(f);
        }
}
