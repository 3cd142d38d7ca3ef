/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The mdev core of the simulated machine: create and remove, with the errors and the order of events of kernel 6.12.
 */

#include <fcntl.h>
#include <inttypes.h>
#include <uuid.h>

#include "sim/sim-internal.h"
#include "util/file.h"
#include "util/text.h"

#define HELD_POLL_USEC 20000

/* An attribute that every simulated vGPU has. */
#define SIM_ATTRIBUTE "scheduling_weight"

typedef struct SimMdev {
        char uuid[37];
        char parent[SIM_NAME_SIZE];
        unsigned type; /* id */
        unsigned group; /* IOMMU group */
} SimMdev;

/* 36 characters, or 37 with a newline: the mdev core takes nothing else. */
static int parse_uuid(const char *text, char ret_uuid[static 37]) {
        char copy[37];
        size_t n = strlen(text);

        if (n != 36 && (n != 37 || text[36] != '\n'))
                return -EINVAL;

        memcpy(copy, text, 36);
        copy[36] = '\0';
        return text_parse_uuid(copy, ret_uuid);
}

static const struct mdevgpu_type *find_type(const SimGpu *gpu, const char *folder) {
        for (uint32_t i = 0; i < gpu->n_types; i++) {
                char name[SIM_NAME_SIZE];

                (void)snprintf(name, sizeof(name), "%s-%u", sim_gpu_driver(gpu), gpu->types[i].id);
                if (streq(name, folder))
                        return &gpu->types[i];
        }

        return NULL;
}

unsigned sim_next_group(const SimHost *sim) {
        uint64_t n = 0;
        char text[32];

        (void)attribute_read_number(sim->root_fd, "kernel/groups", 1000000, &n);
        (void)snprintf(text, sizeof(text), "%u\n", (unsigned)n + 1);
        (void)sim_write(sim, text, 0600, "kernel/groups");
        return (unsigned)n;
}

static int link_device(const SimHost *sim, const SimGpu *gpu, const SimMdev *mdev, const char *path) {
        const char *driver = sim_gpu_driver(gpu);
        char target[512];
        int r;

        r = sim_mkdir(sim, "sys/%s/%s", path, mdev->uuid);
        if (r >= 0)
                r = sim_write(sim, "", 0200, "sys/%s/%s/remove", path, mdev->uuid);
        if (r >= 0)
                r = sim_mkdir(sim, "sys/kernel/iommu_groups/%u", mdev->group);
        if (r >= 0)
                r = sim_mkdir(sim, "dev/vfio");
        if (r >= 0)
                r = sim_write(sim, "", 0600, "dev/vfio/%u", mdev->group);
        if (r < 0)
                return r;

        (void)snprintf(target, sizeof(target), "sys/kernel/iommu_groups/%u", mdev->group);
        r = sim_symlink(sim, target, "sys/%s/%s/iommu_group", path, mdev->uuid);
        if (r >= 0)
                r = sim_mkdir(sim, "sys/kernel/iommu_groups/%u/devices/%s", mdev->group, mdev->uuid);
        /* Drivers have attributes of their own; this one takes a number, as GVT-g's and mtty's do. */
        if (r >= 0)
                r = sim_write(sim, "0\n", 0644, "sys/%s/%s/" SIM_ATTRIBUTE, path, mdev->uuid);
        (void)snprintf(target, sizeof(target), "sys/%s/%s", path, mdev->uuid);
        if (r >= 0)
                r = sim_symlink(sim, target, "sys/%s/mdev_supported_types/%s-%u/devices/%s", path, driver, mdev->type,
                                mdev->uuid);
        if (r >= 0)
                r = sim_symlink(sim, target, "sys/bus/mdev/devices/%s", mdev->uuid);
        (void)snprintf(target, sizeof(target), "sys/%s/mdev_supported_types/%s-%u", path, driver, mdev->type);
        if (r >= 0)
                r = sim_symlink(sim, target, "sys/%s/%s/mdev_type", path, mdev->uuid);

        return r;
}

static int create_locked(SimHost *sim, const SimGpu *gpu, const struct mdevgpu_type *type, const char *uuid,
                         const char *path) {
        SimMdev mdev = { .type = type->id };
        char record[128], devpath[512], cost[32];
        int r;

        if (sim_exists(sim, "kernel/mdevs/%s", uuid))
                return -EEXIST;

        /* The device exists, and says so, before its driver is asked. */
        (void)snprintf(devpath, sizeof(devpath), "%s/%s", path, uuid);
        sim_emit(sim, UEVENT_ADD, UEVENT_MDEV, devpath);
        if (sim_count_available(sim, gpu, type) == 0) {
                sim_emit(sim, UEVENT_REMOVE, UEVENT_MDEV, devpath);
                return -ENOSPC;
        }
        sim_emit(sim, UEVENT_BIND, UEVENT_MDEV, devpath);

        mdev.group = sim_next_group(sim);
        (void)text_copy(mdev.uuid, sizeof(mdev.uuid), uuid);
        (void)text_copy(mdev.parent, sizeof(mdev.parent), gpu->address);
        (void)snprintf(record, sizeof(record), "%s %u %u\n", gpu->address, type->id, mdev.group);
        r = sim_mkdir(sim, "kernel/vgpus/%s/%u", gpu->address, type->id);
        if (r >= 0)
                r = sim_write(sim, record, 0600, "kernel/mdevs/%s", uuid);
        /* The type may change later, and the vGPU stays what it was made as. */
        (void)snprintf(cost, sizeof(cost), "%" PRIu64 "\n", sim_type_cost(type));
        if (r >= 0)
                r = sim_write(sim, cost, 0600, "kernel/vgpus/%s/%u/%s", gpu->address, type->id, uuid);
        if (r >= 0)
                r = sim_device_add(sim, gpu, type, uuid);
        if (r >= 0)
                r = link_device(sim, gpu, &mdev, path);
        sim_parent_recount(sim, gpu);
        return r;
}

int sim_mdev_create(SimHost *sim, const char *parent, const char *type_folder, const char *text) {
        _cleanup_(fd_closep) int lock = -EBADF;
        const struct mdevgpu_type *type;
        char uuid[37], path[256];
        SimGpu gpu;
        int r;

        r = parse_uuid(text, uuid);
        if (r < 0)
                return r;

        lock = sim_lock(sim);
        if (lock < 0)
                return lock;
        r = sim_gpu_load(sim, parent, &gpu);
        if (r < 0)
                return r;
        type = find_type(&gpu, type_folder);
        if (!type)
                return -ENODEV;

        sim_gpu_path(&gpu, path, sizeof(path));
        return create_locked(sim, &gpu, type, uuid, path);
}

static int load_mdev(const SimHost *sim, const char *uuid, SimMdev *ret_mdev) {
        char path[128], record[128];

        (void)snprintf(path, sizeof(path), "kernel/mdevs/%.64s", uuid);
        if (attribute_read(sim->root_fd, path, record, sizeof(record)) < 0)
                return -ENODEV;

        (void)text_copy(ret_mdev->uuid, sizeof(ret_mdev->uuid), uuid);
        return sscanf(record, "%63s %u %u", ret_mdev->parent, &ret_mdev->type, &ret_mdev->group) == 3 ? 0 : -EIO;
}

bool sim_group_is_held(const SimHost *sim, unsigned group) {
        SimHeld held;

        sim_held_read(sim, &held);
        return sim_held_has(&held, group);
}

bool sim_mdev_is_held(const SimHost *sim, const char *uuid, const SimHeld *held) {
        SimMdev mdev;

        return load_mdev(sim, uuid, &mdev) >= 0 && sim_held_has(held, mdev.group);
}

/* The device leaves the bus at once; its UUID and its place are free when the driver has released it. */
static void unlink_device(const SimHost *sim, const SimGpu *gpu, const SimMdev *mdev, const char *path) {
        sim_remove_tree(sim, "sys/bus/mdev/devices/%s", mdev->uuid);
        sim_remove_tree(sim, "sys/%s/mdev_supported_types/%s-%u/devices/%s", path, sim_gpu_driver(gpu), mdev->type,
                        mdev->uuid);
        sim_remove_tree(sim, "sys/%s/%s", path, mdev->uuid);
}

static void release_device(const SimHost *sim, const SimMdev *mdev, const char *path) {
        char devpath[512];

        sim_device_remove(sim, mdev->uuid);
        sim_remove_tree(sim, "kernel/mdevs/%s", mdev->uuid);
        sim_remove_tree(sim, "kernel/vgpus/%s/%u/%s", mdev->parent, mdev->type, mdev->uuid);
        sim_remove_tree(sim, "dev/vfio/%u", mdev->group);
        sim_remove_tree(sim, "sys/kernel/iommu_groups/%u", mdev->group);
        (void)snprintf(devpath, sizeof(devpath), "%s/%s", path, mdev->uuid);
        sim_emit(sim, UEVENT_REMOVE, UEVENT_MDEV, devpath);
}

static int begin_remove(SimHost *sim, const char *uuid, SimMdev *ret_mdev, char *path, size_t size) {
        _cleanup_(fd_closep) int lock = -EBADF;
        SimGpu gpu;
        int r;

        lock = sim_lock(sim);
        if (lock < 0)
                return lock;
        r = load_mdev(sim, uuid, ret_mdev);
        if (r < 0)
                return r;
        if (!sim_exists(sim, "sys/bus/mdev/devices/%s", uuid)) /* somebody else is at it */
                return -EAGAIN;
        r = sim_gpu_load(sim, ret_mdev->parent, &gpu);
        if (r < 0)
                return r;

        sim_gpu_path(&gpu, path, size);
        unlink_device(sim, &gpu, ret_mdev, path);
        return 0;
}

static int end_remove(SimHost *sim, const SimMdev *mdev, const char *path) {
        _cleanup_(fd_closep) int lock = -EBADF;
        SimGpu gpu;

        lock = sim_lock(sim);
        if (lock < 0)
                return lock;

        release_device(sim, mdev, path);
        if (sim_gpu_load(sim, mdev->parent, &gpu) >= 0)
                sim_parent_recount(sim, &gpu);
        return 0;
}

int sim_mdev_remove(SimHost *sim, const char *uuid, const char *text) {
        char path[256], *end;
        unsigned long v;
        SimMdev mdev;
        int r;

        errno = 0;
        v = strtoul(text, &end, 0);
        if (errno != 0 || end == text || (*end != '\0' && *end != '\n'))
                return -EINVAL;
        if (v == 0)
                return 0;

        r = begin_remove(sim, uuid, &mdev, path, sizeof(path));
        if (r < 0)
                return r;

        while (sim_group_is_held(sim, mdev.group))
                (void)usleep(HELD_POLL_USEC);

        return end_remove(sim, &mdev, path);
}

int sim_mdev_configure(SimHost *sim, const char *folder, const char *attribute, const char *text) {
        char path[1024], value[32], *end;
        unsigned long v;

        (void)snprintf(path, sizeof(path), "sys/%s/%s", folder, attribute);
        if (!sim_exists(sim, "%s", path))
                return -ENOENT;
        if (!streq(attribute, SIM_ATTRIBUTE))
                return -EACCES;

        errno = 0;
        v = strtoul(text, &end, 0);
        if (errno != 0 || end == text || (*end != '\0' && *end != '\n') || v > 100)
                return -EINVAL;

        (void)snprintf(value, sizeof(value), "%lu\n", v);
        return sim_write(sim, value, 0644, "%s", path);
}

void sim_mdev_drop(const SimHost *sim, const SimGpu *gpu) {
        _cleanup_(dir_closep) DIR *dir = NULL;
        struct dirent *entry;
        char path[256];

        sim_gpu_path(gpu, path, sizeof(path));
        if (directory_list(sim->root_fd, "kernel/mdevs", &dir) < 0)
                return;

        while ((entry = directory_next(dir))) {
                SimMdev mdev;

                if (load_mdev(sim, entry->d_name, &mdev) < 0 || !streq(mdev.parent, gpu->address))
                        continue;
                unlink_device(sim, gpu, &mdev, path);
                release_device(sim, &mdev, path);
        }
}
