/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "core/gpu.h"
#include "core/idle-wait.h"

#define IDLE_TIMEOUT_USEC UINT64_C(5000000)

struct IdleWait {
        List link; /* in manager->idle_waits */
        sd_event_source *timer;
        void (*callback)(void *userdata);
        void *userdata;
};

/* A stuck GPU is not waited for: it may never come back. */
static bool is_idle(const Manager *manager) {
        Gpu *gpu;

        LIST_FOREACH(gpu, &manager->gpus, link)
                if (gpu->sync && gpu->stuck_pid == 0)
                        return false;

        return true;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        IdleWait *wait = userdata;
        void (*callback)(void *userdata) = wait->callback;

        userdata = wait->userdata;
        idle_wait_free(wait);
        callback(userdata);
        return 0;
}

int manager_wait_idle(Manager *manager, void (*callback)(void *userdata), void *userdata, IdleWait **ret_wait) {
        IdleWait *wait;
        int r;

        wait = calloc(1, sizeof(IdleWait));
        if (!wait)
                return -ENOMEM;

        list_append(&manager->idle_waits, &wait->link);
        wait->callback = callback;
        wait->userdata = userdata;
        r = sd_event_add_time_relative(manager->event, &wait->timer, CLOCK_MONOTONIC,
                                       is_idle(manager) ? 0 : IDLE_TIMEOUT_USEC, 1, on_timer, wait);
        if (r < 0) {
                idle_wait_free(wait);
                return r;
        }

        *ret_wait = wait;
        return 0;
}

IdleWait *idle_wait_free(IdleWait *wait) {
        if (!wait)
                return NULL;

        sd_event_source_disable_unref(wait->timer);
        list_unlink(&wait->link);
        free(wait);
        return NULL;
}

void idle_wait_check(Manager *manager) {
        IdleWait *wait;

        if (list_is_empty(&manager->idle_waits) || !is_idle(manager))
                return;

        /* Their timers call back: nobody is called from within whatever brought us here. */
        LIST_FOREACH(wait, &manager->idle_waits, link)
                (void)sd_event_source_set_time_relative(wait->timer, 0);
}

void idle_wait_free_all(Manager *manager) {
        IdleWait *wait;

        LIST_FOREACH(wait, &manager->idle_waits, link)
                idle_wait_free(wait);
}
