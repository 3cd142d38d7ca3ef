/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <linux/vfio.h>
#include <sys/ioctl.h>

#include "state/device.h"
#include "util/file.h"
#include "util/text.h"

/* Of Linux 6.12's UAPI, which Debian 12's headers (6.1) predate: include/uapi/linux/vfio.h. */
#define FEATURE_MIGRATION 1U
#define FEATURE_DEVICE_STATE 2U
#define FEATURE_DMA_LOGGING_START 6U
#define FEATURE_DATA_SIZE 9U
#define GET_PRECOPY_INFO _IO(VFIO_TYPE, VFIO_BASE + 21)
#define BIND_IOMMUFD _IO(VFIO_TYPE, VFIO_BASE + 18)

typedef struct BindArguments {
        uint32_t argsz;
        uint32_t flags;
        int32_t iommufd;
        uint32_t out_devid;
} BindArguments;

typedef struct PrecopyArguments {
        uint32_t argsz;
        uint32_t flags;
        uint64_t initial_bytes;
        uint64_t dirty_bytes;
} PrecopyArguments;

/* What the features that are asked here have, all of them 8 bytes at most. */
typedef union FeatureValue {
        uint64_t number;
        struct {
                uint32_t device_state;
                int32_t data_fd;
        } state;
} FeatureValue;

typedef struct FeatureArguments {
        uint32_t argsz;
        uint32_t flags;
        FeatureValue value;
} FeatureArguments;

static_assert(sizeof(FeatureArguments) == 16 && sizeof(BindArguments) == 16 && sizeof(PrecopyArguments) == 24,
              "the kernel's layout");

const char *device_state_to_string(DeviceState s) {
        static const char *const table[DEVICE_STATE_MAX] = {
                [DEVICE_ERROR] = "error",       [DEVICE_STOP] = "stop",
                [DEVICE_RUNNING] = "running",   [DEVICE_STOP_COPY] = "stop-copy",
                [DEVICE_RESUMING] = "resuming", [DEVICE_RUNNING_P2P] = "running-p2p",
                [DEVICE_PRE_COPY] = "pre-copy", [DEVICE_PRE_COPY_P2P] = "pre-copy-p2p",
        };

        return s >= 0 && s < DEVICE_STATE_MAX ? table[s] : NULL;
}

static int call(const Host *host, int fd, unsigned long request, void *argument) {
        return host->ops->ioctl(host, fd, request, argument);
}

static int open_node(const Host *host, const char *path) {
        return host->ops->open_node(host, path, O_RDWR);
}

static int explain_open(int r, const char *name, Error *error) {
        if (r == -EBUSY)
                return error_set(error, -ERROR_IN_USE, "vGPU %s is in use: its VFIO device is open already", name);

        if (r == -ENOENT)
                return error_set(error, -ERROR_NOT_SUPPORTED, "vGPU %s has no VFIO device: its driver is none of VFIO's", name);
        if (r == -EXDEV)
                return error_set(error, -EIO,
                                 "The VFIO group of vGPU %s is not viable: a device in it has a driver that is none of VFIO's",
                                 name);

        return error_set(error, -EIO, "The VFIO device of vGPU %s cannot be opened: %s", name,
                         strerrordesc_np(-r) ?: "unknown error");
}

/* "vfio-dev/vfioN" below the device; false: the kernel has no nodes of devices. */
static bool find_node(const Host *host, const char *path, char *ret_node, size_t size) {
        _cleanup_(dir_closep) DIR *d = NULL;
        struct dirent *entry;
        char folder[512];

        (void)snprintf(folder, sizeof(folder), "%s/vfio-dev", path);
        if (directory_list(host->sys_fd, folder, &d) < 0)
                return false;
        entry = directory_next(d);
        if (!entry || !text_is_name(entry->d_name))
                return false;

        (void)snprintf(ret_node, size, "vfio/devices/%s", entry->d_name);
        return true;
}

/* 1: it is open; 0: not in this way. */
static int open_by_node(StateDevice *device, const char *path) {
        BindArguments bind = { .argsz = sizeof(bind) };
        char node[SYSFS_NAME_SIZE + 32];
        int r;

        if (!find_node(device->host, path, node, sizeof(node)) || !path_exists(device->host->dev_fd, "iommu") ||
            !path_exists(device->host->dev_fd, node))
                return 0;

        device->device_fd = open_node(device->host, node);
        if (device->device_fd < 0)
                return device->device_fd;
        device->container_fd = open_node(device->host, "iommu");
        if (device->container_fd < 0)
                return device->container_fd;

        bind.iommufd = device->container_fd;
        r = call(device->host, device->device_fd, BIND_IOMMUFD, &bind);
        /* Anybody may open a node; the second one who binds it is refused with this (vfio_df_open() of Linux 6.6 to 6.12), for
         * which the request gives no reason. */
        if (r == -EINVAL)
                r = -EBUSY;
        return r < 0 ? r : 1;
}

static int set_up_group(StateDevice *device) {
        struct vfio_group_status status = { .argsz = sizeof(status) };
        int r;

        r = call(device->host, device->group_fd, VFIO_GROUP_GET_STATUS, &status);
        if (r < 0)
                return r;
        if (!(status.flags & VFIO_GROUP_FLAGS_VIABLE))
                return -EXDEV; /* and nothing that a call here would say */

        r = call(device->host, device->group_fd, VFIO_GROUP_SET_CONTAINER, &device->container_fd);
        if (r >= 0)
                r = call(device->host, device->container_fd, VFIO_SET_IOMMU, (void *)(uintptr_t)VFIO_TYPE1v2_IOMMU);
        return r;
}

static int open_by_group(StateDevice *device, const char *path) {
        char link[512], group[SYSFS_NAME_SIZE], node[SYSFS_NAME_SIZE + 32];
        int r;

        (void)snprintf(link, sizeof(link), "%s/iommu_group", path);
        r = link_read_basename(device->host->sys_fd, link, group, sizeof(group));
        if (r < 0)
                return r;

        device->container_fd = open_node(device->host, "vfio/vfio");
        if (device->container_fd < 0)
                return device->container_fd;
        (void)snprintf(node, sizeof(node), "vfio/%s", group);
        device->group_fd = open_node(device->host, node);
        if (device->group_fd < 0)
                return device->group_fd;

        r = set_up_group(device);
        if (r < 0)
                return r;
        r = call(device->host, device->group_fd, VFIO_GROUP_GET_DEVICE_FD, device->name);
        if (r >= 0)
                device->device_fd = r;
        return r;
}

int state_device_open(const Host *host, const char *path, StateDevice *ret_device, Error *error) {
        StateDevice device = STATE_DEVICE_NULL;
        const char *name = strrchr(path, '/');
        int r;

        device.host = host;
        (void)text_copy(device.name, sizeof(device.name), name ? name + 1 : path);
        r = open_by_node(&device, path);
        if (r == 0)
                r = open_by_group(&device, path);
        if (r < 0) {
                state_device_close(&device);
                return explain_open(r, device.name, error);
        }

        *ret_device = device;
        return 0;
}

void state_device_close(StateDevice *device) {
        device->data_fd = fd_close(device->data_fd);
        device->device_fd = fd_close(device->device_fd);
        device->group_fd = fd_close(device->group_fd);
        device->container_fd = fd_close(device->container_fd);
}

static int feature(StateDevice *device, uint32_t flags, FeatureValue *value) {
        FeatureArguments arguments = { .argsz = value ? sizeof(arguments) : 8U, .flags = flags };
        int r;

        if (value)
                arguments.value = *value;
        r = call(device->host, device->device_fd, VFIO_DEVICE_FEATURE, &arguments);
        if (r >= 0 && value)
                *value = arguments.value;
        return r;
}

int state_device_get_flags(StateDevice *device, uint64_t *ret_flags, Error *error) {
        FeatureValue value = {};
        int r;

        r = feature(device, VFIO_DEVICE_FEATURE_GET | FEATURE_MIGRATION, &value);
        if (r < 0)
                return error_set(error, -ERROR_NOT_SUPPORTED, "The driver of vGPU %s gives no state: it answers '%s'",
                                 device->name, strerrordesc_np(-r) ?: "unknown error");

        *ret_flags = value.number;
        return 0;
}

int state_device_get_size(StateDevice *device, uint64_t *ret_size) {
        FeatureValue value = {};

        if (feature(device, VFIO_DEVICE_FEATURE_GET | FEATURE_DATA_SIZE, &value) < 0)
                return -ERROR_NOT_SUPPORTED;

        *ret_size = value.number;
        return 0;
}

bool state_device_tracks_pages(StateDevice *device) {
        return feature(device, VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_SET | FEATURE_DMA_LOGGING_START, NULL) >=
               0;
}

int state_device_get_state(StateDevice *device, DeviceState *ret_state, Error *error) {
        FeatureValue value = {};
        int r;

        r = feature(device, VFIO_DEVICE_FEATURE_GET | FEATURE_DEVICE_STATE, &value);
        if (r < 0 || value.state.device_state >= DEVICE_STATE_MAX)
                return error_set(error, -ERROR_DRIVER_REJECTED,
                                 "The driver of vGPU %s does not say what state it is in: %s", device->name,
                                 r < 0 ? strerrordesc_np(-r) ?: "unknown error" : "no such state");

        *ret_state = (DeviceState)value.state.device_state;
        return 0;
}

int state_device_set_state(StateDevice *device, DeviceState state, Error *error) {
        FeatureValue value = { .state = { .device_state = (uint32_t)state, .data_fd = -1 } };
        bool goes_on = state == DEVICE_STOP_COPY || state == DEVICE_PRE_COPY_P2P || state == DEVICE_PRE_COPY;
        int r;

        r = feature(device, VFIO_DEVICE_FEATURE_SET | FEATURE_DEVICE_STATE, &value);
        if (r < 0)
                return error_set(error, -ERROR_DRIVER_REJECTED, "The driver of vGPU %s refuses the step to '%s': %s",
                                 device->name, device_state_to_string(state), strerrordesc_np(-r) ?: "unknown error");

        if (value.state.data_fd >= 0) {
                (void)fd_close(device->data_fd);
                device->data_fd = value.state.data_fd;
        } else if (!goes_on)
                device->data_fd = fd_close(device->data_fd);
        return 0;
}

int state_device_get_precopy(StateDevice *device, uint64_t *ret_initial, uint64_t *ret_dirty) {
        PrecopyArguments arguments = { .argsz = sizeof(arguments) };
        int r;

        r = call(device->host, device->data_fd, GET_PRECOPY_INFO, &arguments);
        if (r < 0)
                return r;

        *ret_initial = arguments.initial_bytes;
        *ret_dirty = arguments.dirty_bytes;
        return 0;
}

int state_device_reset(StateDevice *device, Error *error) {
        DeviceState state;
        int r;

        device->data_fd = fd_close(device->data_fd);
        r = call(device->host, device->device_fd, VFIO_DEVICE_RESET, NULL);
        if (r < 0)
                return error_set(error, -ERROR_DRIVER_REJECTED, "The driver of vGPU %s refuses to reset it: %s",
                                 device->name, strerrordesc_np(-r) ?: "unknown error");

        r = state_device_get_state(device, &state, error);
        if (r >= 0 && state != DEVICE_RUNNING)
                return error_set(error, -ERROR_DRIVER_REJECTED, "vGPU %s is in state '%s' after its reset",
                                 device->name, device_state_to_string(state));

        return r;
}

int state_device_settle(StateDevice *device, Error *error) {
        Error failure = ERROR_NULL;
        DeviceState state;
        int r;

        r = state_device_get_state(device, &state, error);
        if (r < 0 || state == DEVICE_RUNNING)
                return r;

        /* Half of a state would pass for a whole one where its driver does not look. */
        if (state != DEVICE_ERROR && state != DEVICE_RESUMING &&
            state_device_set_state(device, DEVICE_RUNNING, &failure) >= 0)
                return 0;

        r = state_device_reset(device, error);
        return r < 0 ? r : 1;
}
