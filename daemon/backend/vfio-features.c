/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <linux/vfio.h>

#include "backend/vfio-features.h"
#include "core/migration.h"
#include "util/file.h"
#include "util/text.h"

/* Linux 6.2's and 6.3's, that Debian 12's headers do not have (include/uapi/linux/vfio.h). */
#ifndef VFIO_MIGRATION_PRE_COPY
#define VFIO_MIGRATION_PRE_COPY (1 << 2)
#endif
#define FEATURE_MIG_DATA_SIZE 9U

/* As struct vfio_device_feature with 16 bytes of data, enough for all that is asked. */
typedef struct Feature {
        uint32_t argsz;
        uint32_t flags;
        union {
                uint64_t number;
                struct {
                        uint32_t state;
                        int32_t fd;
                };
                uint8_t data[16];
        };
} Feature;

typedef struct Opened {
        int container, group, device;
} Opened;

static void opened_close(Opened *o) {
        o->device = fd_close(o->device);
        o->group = fd_close(o->group);
        o->container = fd_close(o->container);
}

static int attach(const Host *host, Opened *o) {
        int r;

        r = host->ops->ioctl(host, o->group, VFIO_GROUP_SET_CONTAINER, &o->container);
        if (r >= 0)
                r = host->ops->ioctl(host, o->container, VFIO_SET_IOMMU, (void *)VFIO_TYPE1v2_IOMMU);
        return r;
}

/* By its group: where only the character device of VFIO is built (Linux 6.6 and later may be so), it is not asked. */
static int open_device(const Host *host, const char *device, Opened *o) {
        char path[SYSFS_NAME_SIZE + 64], group[SYSFS_NAME_SIZE], name[SYSFS_NAME_SIZE];
        const char *slash = strrchr(device, '/');
        int r;

        (void)snprintf(path, sizeof(path), "%s/iommu_group", device);
        r = link_read_basename(host->sys_fd, path, group, sizeof(group));
        if (r < 0)
                return r;

        (void)snprintf(path, sizeof(path), "vfio/%s", group);
        o->group = host->ops->open_node(host, path, O_RDWR);
        if (o->group < 0)
                return o->group;
        o->container = host->ops->open_node(host, "vfio/vfio", O_RDWR);
        if (o->container < 0)
                return o->container;

        r = attach(host, o);
        if (r < 0)
                return r;
        (void)text_copy(name, sizeof(name), slash ? slash + 1 : device);
        o->device = host->ops->ioctl(host, o->group, VFIO_GROUP_GET_DEVICE_FD, name);
        return MIN(o->device, 0);
}

static int ask(const Host *host, int fd, uint32_t feature, uint32_t how, Feature *ret) {
        *ret = (Feature){ .argsz = sizeof(*ret), .flags = feature | how };
        return host->ops->ioctl(host, fd, VFIO_DEVICE_FEATURE, ret);
}

static const char *state_to_string(uint32_t state) {
        /* enum vfio_device_mig_state; the two of PRE_COPY are Linux 6.2's. */
        static const char *const table[] = { "error",    "stop",        "running",  "stop-copy",
                                             "resuming", "running-p2p", "pre-copy", "pre-copy-p2p" };

        return state < ELEMENTSOF(table) ? table[state] : NULL;
}

static int ask_migration(const Host *host, int fd, Facts *facts) {
        const char *state;
        Feature feature;
        int r;

        r = ask(host, fd, VFIO_DEVICE_FEATURE_MIGRATION, VFIO_DEVICE_FEATURE_GET, &feature);
        if (r < 0)
                return facts_add_bool(facts, MIGRATION_STOP_COPY, false);

        r = facts_add_bool(facts, MIGRATION_STOP_COPY, (feature.number & VFIO_MIGRATION_STOP_COPY) != 0);
        if (r >= 0)
                r = facts_add_bool(facts, MIGRATION_P2P, (feature.number & VFIO_MIGRATION_P2P) != 0);
        if (r >= 0)
                r = facts_add_bool(facts, MIGRATION_PRE_COPY, (feature.number & VFIO_MIGRATION_PRE_COPY) != 0);
        if (r >= 0)
                r = facts_add_bool(facts, MIGRATION_DIRTY_TRACKING,
                                   ask(host, fd, VFIO_DEVICE_FEATURE_DMA_LOGGING_START,
                                       VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_PROBE, &feature) >= 0);
        if (r >= 0 && ask(host, fd, FEATURE_MIG_DATA_SIZE, VFIO_DEVICE_FEATURE_GET, &feature) >= 0)
                r = facts_add_u64(facts, MIGRATION_DATA_SIZE, feature.number);
        if (r < 0 || ask(host, fd, VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, VFIO_DEVICE_FEATURE_GET, &feature) < 0)
                return r;

        state = state_to_string(feature.state);
        return state ? facts_add_text(facts, MIGRATION_DEVICE_STATE, state) : 0;
}

int vfio_features_read(const Host *host, const char *device, Facts *facts, Error *error) {
        Opened o = { -EBADF, -EBADF, -EBADF };
        int r;

        r = open_device(host, device, &o);
        if (r == -EBUSY)
                r = error_set(error, -ERROR_IN_USE, "The vGPU is open already, and is asked nothing");
        else if (r < 0)
                r = error_set(error, -ERROR_DRIVER_REJECTED, "The vGPU cannot be opened to be asked: %s (%s)",
                              strerrordesc_np(-r) ?: "unknown error", strerrorname_np(-r) ?: "?");
        else {
                r = ask_migration(host, o.device, facts);
                if (r < 0)
                        r = error_set_errno(error, r, "what the vGPU answers cannot be told");
        }

        opened_close(&o);
        return r;
}
