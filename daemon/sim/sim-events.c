/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Who holds vGPUs of the simulated machine open, and the events by which its driver tells: real processes hold real files
 * ROOT/dev/vfio/N, which inotify hears of.
 */

#include <limits.h>
#include <sys/inotify.h>
#include <uuid.h>

#include "sim/sim-internal.h"
#include "util/file.h"
#include "util/text.h"

#define HELD_MAX (ELEMENTSOF(((SimHeld *)NULL)->groups) * 64U)

static void add_held(SimHeld *held, const char *group) {
        unsigned long n;
        char *end;

        errno = 0;
        n = strtoul(group, &end, 10);
        if (errno == 0 && end != group && *end == '\0' && n < HELD_MAX)
                held->groups[n / 64] |= UINT64_C(1) << (n % 64);
}

static void read_process(const SimHost *sim, const char *pid, const char *folder, SimHeld *held) {
        _cleanup_(dir_closep) DIR *dir = NULL;
        char path[64], target[512];
        struct dirent *entry;

        (void)snprintf(path, sizeof(path), "%.20s/fd", pid);
        if (directory_list(sim->host.proc_fd, path, &dir) < 0)
                return;

        while ((entry = directory_next(dir))) {
                ssize_t n = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);

                if (n < 0)
                        continue;
                target[n] = '\0';
                if (strncmp(target, folder, strlen(folder)) == 0)
                        add_held(held, target + strlen(folder));
        }
}

void sim_held_read(const SimHost *sim, SimHeld *ret_held) {
        _cleanup_(dir_closep) DIR *dir = NULL;
        struct dirent *entry;
        char folder[320];

        *ret_held = (SimHeld){};
        (void)snprintf(folder, sizeof(folder), "%s/dev/vfio/", sim->root);
        if (directory_list(sim->host.proc_fd, ".", &dir) < 0)
                return;

        while ((entry = directory_next(dir)))
                if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
                        read_process(sim, entry->d_name, folder, ret_held);
}

bool sim_held_has(const SimHeld *held, unsigned group) {
        return group < HELD_MAX && (held->groups[group / 64] >> (group % 64) & 1);
}

int sim_watch_node(const Host *host, int fd) {
        const SimHost *sim = host->userdata;
        _cleanup_(fd_closep) int watch_fd = -EBADF;
        char path[320];

        watch_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        if (watch_fd < 0)
                return negative_errno();

        (void)snprintf(path, sizeof(path), "%s/dev/vfio", sim->root);
        if (inotify_add_watch(watch_fd, path, IN_OPEN | IN_CLOSE) < 0)
                return negative_errno();

        return TAKE_FD(watch_fd);
}

/* The vGPU whose group this is. */
static bool find_device(const SimHost *sim, const char *group, uuid_t ret_uuid) {
        _cleanup_(dir_closep) DIR *dir = NULL;
        struct dirent *entry;
        char path[320];

        (void)snprintf(path, sizeof(path), "sys/kernel/iommu_groups/%.64s/devices", group);
        if (directory_list(sim->root_fd, path, &dir) < 0)
                return false;

        entry = directory_next(dir);
        return entry && uuid_parse(entry->d_name, ret_uuid) >= 0;
}

/* What happened to one group's file, as it is by now: of what is held by two the first does not end it. */
static void tell(const SimHost *sim, const struct inotify_event *event, struct mdevgpu_event *ret) {
        SimHeld held, one = {};

        *ret = (struct mdevgpu_event){ .type = UINT32_MAX };
        if (event->mask & IN_Q_OVERFLOW) {
                ret->type = MDEVGPU_EVENT_LOST;
                return;
        }
        if (event->len == 0 || !find_device(sim, event->name, ret->uuid))
                return;

        sim_held_read(sim, &held);
        add_held(&one, event->name);
        ret->type = MDEVGPU_EVENT_VGPU_CLOSED;
        for (size_t i = 0; i < ELEMENTSOF(one.groups); i++)
                if (one.groups[i] & held.groups[i])
                        ret->type = MDEVGPU_EVENT_VGPU_OPENED;
}

ssize_t sim_read_node(const Host *host, int watch_fd, void *buffer, size_t size) {
        const SimHost *sim = host->userdata;
        union {
                struct inotify_event event;
                char bytes[sizeof(struct inotify_event) + NAME_MAX + 1];
        } u;
        struct mdevgpu_event e;
        ssize_t n;

        if (size < sizeof(e))
                return -EINVAL;

        n = read(watch_fd, &u, sizeof(u));
        if (n < 0)
                return negative_errno();

        tell(sim, &u.event, &e);
        if ((size_t)n >
            sizeof(struct inotify_event) + u.event.len) /* more than one at once: everything is read again */
                e.type = MDEVGPU_EVENT_LOST;
        memcpy(buffer, &e, sizeof(e));
        return (ssize_t)sizeof(e);
}
