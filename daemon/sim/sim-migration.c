/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Devices of the simulated machine as who opens them finds them: their states of VFIO migration, version 2, and the steps
 * between two of these, as Linux 6.12's UAPI (linux/vfio.h) and drivers/vfio/vfio_main.c have them. vGPUs of the open shim's
 * driver and of mtty migrate.
 */

#include <fcntl.h>
#include <linux/vfio.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "sim/sim-vfio.h"
#include "util/file.h"
#include "util/text.h"

/* As in Linux 6.12, which Debian 12's headers (6.1) predate. */
#define FEATURE_MIGRATION 1U
#define FEATURE_DEVICE_STATE 2U
#define FEATURE_DATA_SIZE 9U
#define MIGRATION_STOP_COPY (1U << 0)
#define MIGRATION_P2P (1U << 1)
#define MIGRATION_PRE_COPY (1U << 2)

#define CONTENT_SIZE_DEFAULT (UINT64_C(8) << 20)

/* struct vfio_device_feature with what these features have behind it. */
typedef struct Feature {
        uint32_t argsz;
        uint32_t flags;
        union {
                uint64_t number;
                struct {
                        uint32_t state;
                        int32_t data_fd;
                } state;
        } value;
} Feature;

bool sim_state_precopies(uint32_t state) {
        return state == SIM_STATE_PRE_COPY || state == SIM_STATE_PRE_COPY_P2P;
}

bool sim_state_saves(uint32_t state) {
        return state == SIM_STATE_STOP_COPY || sim_state_precopies(state);
}

static int open_record(const SimHost *sim, const char *name, int flags) {
        char path[128];
        int fd;

        (void)snprintf(path, sizeof(path), "kernel/devices/%.64s", name);
        fd = openat(sim->root_fd, path, flags | O_CLOEXEC, 0600);
        return fd < 0 ? negative_errno() : fd;
}

int sim_device_load(const SimHost *sim, const char *name, SimDevice *ret_device) {
        _cleanup_(fd_closep) int fd = open_record(sim, name, O_RDONLY);
        ssize_t n;

        if (fd < 0)
                return fd == -ENOENT ? -ENODEV : fd;

        *ret_device = (SimDevice){};
        n = pread(fd, ret_device, sizeof(SimDevice), 0);
        return n == 0 || n == (ssize_t)sizeof(SimDevice) ? 0 : -EIO;
}

int sim_device_store(const SimHost *sim, const SimDevice *device) {
        _cleanup_(fd_closep) int fd = open_record(sim, device->name, O_WRONLY);

        if (fd < 0)
                return fd;

        return pwrite(fd, device, sizeof(SimDevice), 0) == (ssize_t)sizeof(SimDevice) ? 0 : -EIO;
}

uint64_t sim_setting(const SimHost *sim, const char *name) {
        uint64_t value = streq(name, "content-size") ? CONTENT_SIZE_DEFAULT : 0;
        char path[128];

        (void)snprintf(path, sizeof(path), "kernel/%s", name);
        (void)attribute_read_number(sim->root_fd, path, UINT64_MAX, &value);
        return value;
}

int sim_content_open(const SimHost *sim, const char *name) {
        _cleanup_(fd_closep) int fd = -EBADF;
        char path[128];
        struct stat st;

        (void)snprintf(path, sizeof(path), "content/%.64s", name);
        fd = openat(sim->root_fd, path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0 || fstat(fd, &st) < 0)
                return negative_errno();
        if (st.st_size == 0 && ftruncate(fd, (off_t)sim_setting(sim, "content-size")) < 0)
                return negative_errno();

        return TAKE_FD(fd);
}

int sim_content_reset(const SimHost *sim, const char *name) {
        _cleanup_(fd_closep) int fd = sim_content_open(sim, name);
        struct stat st;

        if (fd < 0)
                return fd;
        if (fstat(fd, &st) < 0 || ftruncate(fd, 0) < 0 || ftruncate(fd, st.st_size) < 0)
                return negative_errno();

        return 0;
}

int sim_device_add(const SimHost *sim, const SimGpu *gpu, const struct mdevgpu_type *type, const char *uuid) {
        SimDevice device = {
                .migrates = gpu->kind == SIM_GPU_SHIM || gpu->kind == SIM_GPU_MTTY,
                .keeps_content = gpu->kind == SIM_GPU_MTTY || (type->flags & MDEVGPU_TYPE_KEEP_STATE) != 0,
                .keeps_state = gpu->kind == SIM_GPU_MTTY,
                .state = SIM_STATE_RUNNING,
        };
        _cleanup_(fd_closep) int fd = open_record(sim, uuid, O_RDWR | O_CREAT | O_TRUNC);

        if (fd < 0 || !device.migrates)
                return fd < 0 ? fd : 0;

        (void)text_copy(device.name, sizeof(device.name), uuid);
        (void)snprintf(device.type, sizeof(device.type), "%s-%u", sim_gpu_driver(gpu), type->id);
        fd_close(sim_content_open(sim, uuid));
        return sim_device_store(sim, &device);
}

void sim_device_remove(const SimHost *sim, const char *uuid) {
        SimDevice device;

        if (sim_device_load(sim, uuid, &device) >= 0)
                sim_session_end(sim, &device);
        sim_remove_tree(sim, "kernel/devices/%s", uuid);
        sim_remove_tree(sim, "content/%s", uuid);
}

static int reset(const SimHost *sim, SimDevice *device) {
        int r;

        if (!device->migrates)
                return 0;

        sim_session_end(sim, device);
        device->state = SIM_STATE_RUNNING;
        r = sim_content_reset(sim, device->name);
        return r < 0 ? r : sim_device_store(sim, device);
}

/* Nobody had it open. Sessions ended when it was closed, and whatever else that does is seen only now. */
static int begin_opening(const SimHost *sim, SimDevice *device) {
        bool whole = device->state != SIM_STATE_RESUMING && device->state != SIM_STATE_ERROR;

        if (!device->migrates)
                return 0;
        if (!device->keeps_content || (!device->keeps_state && !whole))
                return reset(sim, device);

        sim_session_end(sim, device);
        if (!device->keeps_state)
                device->state = SIM_STATE_RUNNING;
        return sim_device_store(sim, device);
}

/* Whoever has it open shares a lock on it: so the first one is found. */
int sim_device_open(const SimHost *sim, const char *name) {
        _cleanup_(fd_closep) int lock = sim_lock(sim), fd = -EBADF;
        SimDevice device;
        int r = 0;

        if (lock < 0)
                return lock;
        fd = open_record(sim, name, O_RDWR | O_CREAT);
        if (fd < 0)
                return fd;

        if (flock(fd, LOCK_EX | LOCK_NB) >= 0) {
                r = sim_device_load(sim, name, &device);
                if (r >= 0)
                        r = begin_opening(sim, &device);
        }
        if (r >= 0 && flock(fd, LOCK_SH) < 0)
                r = negative_errno();
        return r < 0 ? r : TAKE_FD(fd);
}

/* As the UAPI says: from and to everything but these, some of them by way of others. */
static bool is_permitted(uint32_t from, uint32_t to) {
        return from != SIM_STATE_ERROR && to != SIM_STATE_ERROR && to < SIM_STATE_MAX &&
               (from != SIM_STATE_STOP_COPY || !sim_state_precopies(to));
}

/* *ret_fd: of the session that it begins; -1: it begins none. What the device is in afterwards is in *device, errors included. */
static int walk(const SimHost *sim, SimDevice *device, uint32_t to, int *ret_fd) {
        uint32_t from = device->state;
        int r;

        *ret_fd = -1;
        if (from == to)
                return 0;
        if (from == SIM_STATE_RESUMING) {
                r = sim_session_commit(sim, device);
                device->state = r < 0 ? SIM_STATE_ERROR : SIM_STATE_STOP;
                sim_session_end(sim, device);
                if (r < 0)
                        return r;
        }
        if (sim_state_saves(from) && !sim_state_saves(to))
                sim_session_end(sim, device);

        if (to == SIM_STATE_RESUMING || (sim_state_saves(to) && !sim_state_saves(from))) {
                r = *ret_fd = sim_session_begin(sim, device, to == SIM_STATE_RESUMING);
                if (r < 0)
                        return r;
        }
        device->state = to;
        return 0;
}

static int set_state(const SimHost *sim, SimDevice *device, Feature *feature) {
        uint32_t to = feature->value.state.state;
        int r, stored;

        feature->value.state.data_fd = -1;
        if (!is_permitted(device->state, to))
                return -EINVAL;

        r = walk(sim, device, to, &feature->value.state.data_fd);
        stored = sim_device_store(sim, device);
        return r < 0 ? r : stored;
}

/* 1: it is to be done; 0: it could be. */
static int check_feature(const Feature *feature, uint32_t supported) {
        const uint32_t operations = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_SET;

        if (feature->flags & operations & ~supported)
                return -EINVAL;
        if (feature->flags & VFIO_DEVICE_FEATURE_PROBE)
                return 0;
        return feature->argsz < sizeof(Feature) ? -EINVAL : 1;
}

static int call_feature(const SimHost *sim, SimDevice *device, Feature *feature) {
        uint32_t which = feature->flags & VFIO_DEVICE_FEATURE_MASK;
        int r;

        r = check_feature(feature, which == FEATURE_DEVICE_STATE ? VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_SET
                                                                 : VFIO_DEVICE_FEATURE_GET);
        if (r <= 0)
                return r;

        if (which == FEATURE_MIGRATION)
                feature->value.number = MIGRATION_STOP_COPY | MIGRATION_P2P | MIGRATION_PRE_COPY;
        else if (which == FEATURE_DATA_SIZE)
                return sim_session_size(sim, device, &feature->value.number);
        else if (feature->flags & VFIO_DEVICE_FEATURE_SET)
                return set_state(sim, device, feature);
        else {
                feature->value.state.state = device->state;
                feature->value.state.data_fd = -1;
        }
        return 0;
}

static int feature_ioctl(const SimHost *sim, SimDevice *device, Feature *feature) {
        const uint32_t operations = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_SET;
        uint32_t which = feature->flags & VFIO_DEVICE_FEATURE_MASK;

        if (feature->argsz < sizeof(struct vfio_device_feature) ||
            (feature->flags & ~(VFIO_DEVICE_FEATURE_MASK | operations | VFIO_DEVICE_FEATURE_PROBE)))
                return -EINVAL;
        if (!(feature->flags & VFIO_DEVICE_FEATURE_PROBE) && (feature->flags & operations) == operations)
                return -EINVAL;
        if (!device->migrates ||
            (which != FEATURE_MIGRATION && which != FEATURE_DEVICE_STATE && which != FEATURE_DATA_SIZE))
                return -ENOTTY;

        return call_feature(sim, device, feature);
}

/* Whole, as the kernel's is: who is killed leaves no session that no device knows. */
int sim_device_ioctl(const SimHost *sim, int fd, const char *name, unsigned long request, void *argument) {
        _cleanup_(fd_closep) int lock = sim_lock(sim);
        SimDevice device;
        int r;

        if (lock < 0)
                return lock;
        r = sim_device_load(sim, name, &device);
        if (r < 0)
                return r;

        switch (request) {
        case VFIO_DEVICE_FEATURE:
                return feature_ioctl(sim, &device, argument);
        case VFIO_DEVICE_RESET:
                return reset(sim, &device);
        default:
                return -ENOTTY;
        }
}
