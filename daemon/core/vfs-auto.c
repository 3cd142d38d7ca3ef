/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/gpu.h"
#include "core/manager.h"
#include "core/scan.h"
#include "core/vfs-auto.h"
#include "core/vfs-change.h"
#include "util/file.h"
#include "util/log.h"
#include "util/text.h"

/* What was looked at, in /run/mdevgpud/state: a file for each card, in which the number of its binding is. */
#define FOLDER "vfs"

/* A driver that has just come may be held by somebody for a moment: again after 2, 4 and 8 s. */
#define RETRY_USEC UINT64_C(2000000)
#define TRIES_MAX 4U

static void forget(const Gpu *gpu) {
        char path[SYSFS_NAME_SIZE + sizeof(FOLDER)];

        (void)snprintf(path, sizeof(path), FOLDER "/%s", gpu->identity.address);
        if (gpu->manager->state_fd >= 0)
                (void)unlinkat(gpu->manager->state_fd, path, 0);
}

static uint64_t recall(const Gpu *gpu) {
        char path[SYSFS_NAME_SIZE + sizeof(FOLDER)];
        uint64_t number;

        (void)snprintf(path, sizeof(path), FOLDER "/%s", gpu->identity.address);
        if (gpu->manager->state_fd < 0 || attribute_read_number(gpu->manager->state_fd, path, UINT64_MAX, &number) < 0)
                return 0;

        return number;
}

static void remember(Gpu *gpu, uint64_t binding) {
        _cleanup_(fd_closep) int folder_fd = -EBADF;
        int state_fd = gpu->manager->state_fd, r = state_fd;
        char text[32];

        gpu->vfs_binding = binding;
        if (r >= 0 && mkdirat(state_fd, FOLDER, 0700) < 0 && errno != EEXIST)
                r = negative_errno();
        if (r >= 0)
                r = folder_fd = directory_open(state_fd, FOLDER);
        (void)snprintf(text, sizeof(text), "%" PRIu64 "\n", binding);
        if (r >= 0)
                r = file_replace(folder_fd, gpu->identity.address, text);
        if (r < 0)
                log_debug("GPU %s: that its virtual functions were looked at cannot be recorded: %s",
                          gpu->identity.address, strerror(-r));
}

/* As many as the rule says, or as the card can have. */
static uint32_t count_wanted(const Gpu *gpu, const SriovRule *rule, uint32_t max) {
        return rule->n_vfs == SETTINGS_ALL_VFS ? max : rule->n_vfs;
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata) {
        Gpu *gpu = userdata;

        gpu->vfs_retry = sd_event_source_disable_unref(gpu->vfs_retry);
        vfs_auto_check(gpu);
        return 0;
}

static void fail(Gpu *gpu, const Error *error) {
        uint64_t usec = RETRY_USEC << gpu->n_vfs_tries;

        (void)snprintf(gpu->vfs_reason, sizeof(gpu->vfs_reason),
                       "the virtual functions that a setting asks for are not there: %.380s", error->message);
        log_warning("GPU %s: %s", gpu->identity.address, gpu->vfs_reason);
        gpu_mark_dirty(gpu, /* may_register= */ false); /* shows it */
        if (gpu->leaving || gpu->vfs_retry)
                return;
        if (++gpu->n_vfs_tries >= TRIES_MAX) {
                if (gpu->vfs_binding != 0)
                        remember(gpu, gpu->vfs_binding);
                return;
        }

        gpu->vfs_binding = 0;
        forget(gpu);
        if (sd_event_add_time_relative(gpu->manager->event, &gpu->vfs_retry, CLOCK_MONOTONIC, usec, 0, on_retry, gpu) <
            0)
                log_debug("GPU %s: cannot arm a timer", gpu->identity.address);
}

static void on_changed(const Error *error, void *userdata) {
        Gpu *gpu = userdata;

        /* One that is stuck is not asked again: it says so, and is read when it comes to an end. */
        if (error && (error->code == -ERROR_NO_SUCH_GPU || error->code == -ERROR_TIMEOUT))
                return;
        if (error) {
                fail(gpu, error);
                return;
        }

        gpu->n_vfs_tries = 0;
        log_info("GPU %s: %" PRIu32 " virtual functions are enabled, as a setting asks for", gpu->identity.address,
                 gpu->num_vfs);
}

/* True: it is under way, or will be tried again. */
static bool enable(Gpu *gpu, const SriovRule *rule) {
        uint32_t n = count_wanted(gpu, rule, gpu->max_vfs);
        Error error = ERROR_NULL;
        int r;

        r = manager_enable_vfs_with(gpu->manager, gpu->identity.address, n, &rule->attributes, on_changed, gpu, NULL,
                                    &error);
        if (r < 0)
                fail(gpu, &error);
        return r <= 0;
}

void vfs_auto_check(Gpu *gpu) {
        const SriovRule *rule = settings_find_sriov(gpu->manager->settings, &gpu->identity);
        uint64_t binding = gpu->binding;

        /* Handed over whole it has no functions to give. */
        if (gpu->max_vfs == 0 || gpu->driver[0] == '\0' || strstr(gpu->driver, "vfio") || gpu->vfs_retry)
                return;
        if (binding == 0) /* it was bound since, and is read again */
                return;
        if (gpu->vfs_changed)
                remember(gpu, gpu->vfs_ours);
        gpu->vfs_changed = false;
        if (gpu->vfs_binding == 0)
                gpu->vfs_binding = recall(gpu);
        if (gpu->vfs_binding == binding)
                return;

        /* Of a driver that comes anew nothing is known. */
        if (gpu->vfs_tried != binding)
                gpu->n_vfs_tries = 0;
        gpu->vfs_binding = gpu->vfs_tried = binding;
        gpu->vfs_reason[0] = '\0';
        /* Some that are there are somebody's who has been quicker. While it goes on nothing is recorded, as a successor has
         * to do it if this daemon dies; when it has ended the GPU is read. */
        if (!rule || gpu->num_vfs > 0 || count_wanted(gpu, rule, gpu->max_vfs) == 0 || !enable(gpu, rule))
                remember(gpu, binding);
}

void vfs_auto_changed(Gpu *gpu) {
        gpu->vfs_changed = true;
        gpu->vfs_ours = scan_binding(gpu->manager->host, gpu->identity.address);
        gpu->vfs_reason[0] = '\0';
}

void vfs_auto_stop(Gpu *gpu) {
        gpu->vfs_retry = sd_event_source_disable_unref(gpu->vfs_retry);
}

void vfs_auto_explain(const Gpu *gpu, const GpuReport *report, char *buffer, size_t size) {
        const SriovRule *rule = settings_find_sriov(gpu->manager->settings, &gpu->identity);

        if (gpu->vfs_reason[0] != '\0' && report->driver[0] != '\0' && report->num_vfs == 0)
                (void)text_copy(buffer, size, gpu->vfs_reason);
        else if (report->driver[0] == '\0' && report->max_vfs > 0 && rule &&
                 count_wanted(gpu, rule, report->max_vfs) > 0)
                (void)snprintf(buffer, size,
                               "%s; when one is, the %" PRIu32
                               " virtual functions that a setting asks for will be enabled",
                               report->reason, count_wanted(gpu, rule, report->max_vfs));
        else
                (void)text_copy(buffer, size, report->reason);
}
