/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "core/manager.h"
#include "core/migration-query.h"
#include "core/start-hold.h"
#include "util/log.h"
#include "util/text.h"

#define USEC_PER_SEC UINT64_C(1000000)

/* Waits for workers of ours that have one of them open. */
struct StartHold {
        Manager *manager;
        List link; /* in manager->start_holds */
        void (*callback)(void *userdata);
        void *userdata;
        size_t n;
        char uuids[][UUID_STRING_SIZE];
};

static int on_bound(sd_event_source *source, uint64_t usec, void *userdata) {
        VGpu *vgpu = userdata;

        log_debug("vGPU %s was held for a virtual machine that starts, and nobody has said that it has", vgpu->uuid);
        vgpu->start_hold = sd_event_source_disable_unref(vgpu->start_hold);
        vgpu_migration_changed(vgpu);
        return 0;
}

static int hold(VGpu *vgpu, uint32_t seconds) {
        uint64_t now, end, before = 0;
        bool held = vgpu->start_hold;
        int r;

        r = sd_event_now(vgpu->manager->event, CLOCK_MONOTONIC, &now);
        if (r < 0)
                return r;

        /* It is the vGPU's, and who asked first was told how long. */
        if (held)
                (void)sd_event_source_get_time(vgpu->start_hold, &before);
        end = MAX(now + seconds * USEC_PER_SEC, before);
        vgpu->start_hold = sd_event_source_disable_unref(vgpu->start_hold);
        r = sd_event_add_time(vgpu->manager->event, &vgpu->start_hold, CLOCK_MONOTONIC, end, USEC_PER_SEC / 10, on_bound,
                              vgpu);
        if (r < 0 || !held)
                vgpu_migration_changed(vgpu);
        return r;
}

static VGpu *find(const Manager *manager, const char *uuid) {
        return MAP_FIND(&manager->vgpus, uuid, VGpu, node);
}

static bool is_free(const Manager *manager, const char *uuid) {
        const VGpu *vgpu = find(manager, uuid);

        return !vgpu || vgpu->claim == VGPU_CLAIM_NONE;
}

static bool is_copied(const VGpu *vgpu) {
        return vgpu->claim == VGPU_CLAIM_SAVE || vgpu->claim == VGPU_CLAIM_RESTORE;
}

/* Whoever starts a machine is not kept waiting for that. */
static int check_copied(const Manager *manager, const char *const *uuids, size_t n, Error *error) {
        for (size_t i = 0; i < n; i++) {
                const VGpu *vgpu = find(manager, uuids[i]);

                if (vgpu && is_copied(vgpu))
                        return error_set(error, -ERROR_BUSY,
                                         "The state of vGPU %s is being %s: no machine can start with it until that has "
                                         "ended",
                                         vgpu->uuid, vgpu->claim == VGPU_CLAIM_SAVE ? "saved" : "restored");
        }

        return 0;
}

const char *start_hold_find_device(const Manager *manager, const char *address) {
        const VGpu *vgpu;

        LIST_FOREACH(vgpu, &manager->all_vgpus, link)
                if (vgpu->present && vgpu->kind != VGPU_MDEV && streq(vgpu->parent, address))
                        return vgpu->uuid;

        return NULL;
}

int start_hold_new(Manager *manager, const char *const *uuids, size_t n, uint32_t seconds,
                   void (*callback)(void *userdata), void *userdata, StartHold **ret_hold, Error *error) {
        StartHold *wait;
        bool all_free = true;
        int r;

        for (size_t i = 0; i < n; i++) {
                VGpu *vgpu = find(manager, uuids[i]);

                if (!vgpu || is_copied(vgpu))
                        continue;
                r = hold(vgpu, seconds);
                if (r < 0)
                        return error_set_errno(error, r, "vGPUs cannot be held");
                migration_query_give_way(vgpu);
                all_free = all_free && is_free(manager, uuids[i]);
        }

        r = check_copied(manager, uuids, n, error);
        if (r < 0)
                return r;

        *ret_hold = NULL;
        if (all_free)
                return 0;

        wait = calloc(1, sizeof(StartHold) + n * UUID_STRING_SIZE);
        if (!wait)
                return error_set_errno(error, -ENOMEM, "vGPUs cannot be waited for");
        wait->manager = manager;
        wait->callback = callback;
        wait->userdata = userdata;
        wait->n = n;
        for (size_t i = 0; i < n; i++)
                (void)text_copy(wait->uuids[i], UUID_STRING_SIZE, uuids[i]);
        list_append(&manager->start_holds, &wait->link);
        *ret_hold = wait;
        return 0;
}

StartHold *start_hold_free(StartHold *wait) {
        if (!wait)
                return NULL;

        list_unlink(&wait->link);
        free(wait);
        return NULL;
}

void start_hold_end(Manager *manager, const char *const *uuids, size_t n) {
        for (size_t i = 0; i < n; i++) {
                VGpu *vgpu = find(manager, uuids[i]);

                if (!vgpu || !vgpu->start_hold)
                        continue;
                vgpu->start_hold = sd_event_source_disable_unref(vgpu->start_hold);
                vgpu_migration_changed(vgpu);
        }
}

static bool is_done(const StartHold *wait) {
        for (size_t i = 0; i < wait->n; i++)
                if (!is_free(wait->manager, wait->uuids[i]))
                        return false;

        return true;
}

void start_hold_check(Manager *manager) {
        StartHold *wait;

        LIST_FOREACH(wait, &manager->start_holds, link) {
                void (*callback)(void *userdata) = wait->callback;
                void *userdata = wait->userdata;

                if (!is_done(wait))
                        continue;
                start_hold_free(wait);
                callback(userdata);
        }
}

void start_hold_end_all(Manager *manager) {
        StartHold *wait;

        LIST_FOREACH(wait, &manager->start_holds, link)
                start_hold_free(wait);
}
