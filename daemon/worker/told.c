/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <unistd.h>

#include "worker/told.h"

/* Who ends is not seen any more a moment before the kernel has let go for him. */
#define FREE_INTERVAL_USEC 50000U
#define FREE_TRIES 20U

static const VGpuUsage *find(const UsageReport *usage, const char *uuid) {
        for (size_t i = 0; i < usage->n_vgpus; i++)
                if (streq(usage->vgpus[i].uuid, uuid))
                        return &usage->vgpus[i];

        return NULL;
}

bool told_take(UsageReport *all, const char *uuid, VGpuUsage *ret_usage) {
        const VGpuUsage *found = find(all, uuid);

        if (!found)
                return false;

        *ret_usage = *found;
        all->vgpus[found - all->vgpus].facts = (Facts){};
        return true;
}

static bool told_read(BackendContext *c, const char *uuid, VGpuUsage *ret_usage) {
        UsageReport all;
        bool found;

        usage_report_init(&all);
        found = c->backend && c->backend->read_usage && c->backend->read_usage(c, &all, NULL) >= 0 &&
                told_take(&all, uuid, ret_usage);
        usage_report_done(&all);
        return found;
}

/* pid: of who runs it, if that is told; the number means nothing where it is of another namespace. */
static bool is_held(BackendContext *c, const char *uuid, int32_t *ret_pid) {
        VGpuUsage usage;
        const Fact *open;
        bool held;

        if (!told_read(c, uuid, &usage))
                return false;

        open = facts_find(&usage.facts, "open");
        held = !open || open->number != 0; /* NVIDIA's names none but those that a machine runs with */
        *ret_pid = usage.pid;
        facts_done(&usage.facts);
        return held;
}

int told_check_free(BackendContext *c, const char *uuid, Error *error) {
        char who[64] = "";
        int32_t pid = 0;

        for (unsigned i = 0; is_held(c, uuid, &pid); i++) {
                if (i < FREE_TRIES) {
                        (void)usleep(FREE_INTERVAL_USEC);
                        continue;
                }
                if (pid > 0)
                        (void)snprintf(who, sizeof(who), ", process %i", (int)pid);
                return error_set(
                        error, -ERROR_IN_USE,
                        "vGPU %s is in use, its driver says%s, though nobody is seen who holds it; stop that first",
                        uuid, who);
        }

        return 0;
}
