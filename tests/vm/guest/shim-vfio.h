/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A vGPU opened as a program does that hands it to a guest: container, group, device, and its regions.
 */

#include <linux/vfio.h>
#include <sys/mman.h>

#include "shim-test.h"

struct vgpu {
        int container, group, device;
};

static struct vfio_region_info config, bar0, bar1;

static inline int group_open(const char *uuid) {
        char link[128], target[256], path[64];
        ssize_t n;

        snprintf(link, sizeof(link), "/sys/bus/mdev/devices/%s/iommu_group", uuid);
        n = readlink(link, target, sizeof(target) - 1);
        if (n < 0)
                return -1;
        target[n] = '\0';
        snprintf(path, sizeof(path), "/dev/vfio/%.40s", strrchr(target, '/') + 1);
        return open(path, O_RDWR | O_CLOEXEC);
}

static inline void vgpu_close(struct vgpu *v) {
        close(v->device);
        close(v->group);
        close(v->container);
        *v = (struct vgpu){ -1, -1, -1 };
}

/* 0 or -1 with errno */
static inline int vgpu_open(const char *uuid, struct vgpu *ret) {
        struct vgpu v = { -1, -1, -1 };
        int error;

        v.container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
        v.group = group_open(uuid);
        if (v.container < 0 || v.group < 0 || ioctl(v.group, VFIO_GROUP_SET_CONTAINER, &v.container) < 0 ||
            ioctl(v.container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU) < 0 ||
            (v.device = ioctl(v.group, VFIO_GROUP_GET_DEVICE_FD, uuid)) < 0) {
                error = errno;
                vgpu_close(&v);
                errno = error;
                return -1;
        }
        *ret = v;
        return 0;
}

static inline bool regions_find(const struct vgpu *v) {
        struct vfio_region_info *regions[] = { &config, &bar0, &bar1 };
        const uint32_t index[] = { VFIO_PCI_CONFIG_REGION_INDEX, VFIO_PCI_BAR0_REGION_INDEX,
                                   VFIO_PCI_BAR1_REGION_INDEX };

        for (size_t i = 0; i < 3; i++) {
                *regions[i] = (struct vfio_region_info){ .argsz = sizeof(config), .index = index[i] };
                if (ioctl(v->device, VFIO_DEVICE_GET_REGION_INFO, regions[i]) < 0)
                        return false;
        }
        return true;
}

static inline uint64_t region_read(const struct vgpu *v, const struct vfio_region_info *region, uint64_t at,
                                   unsigned size) {
        uint64_t value = 0;

        if (pread(v->device, &value, size, region->offset + at) != (ssize_t)size)
                check(false, "read of %u bytes at region %u + %#llx: %s", size, region->index, (long long)at,
                      strerror(errno));
        return value;
}

static inline void region_write(const struct vgpu *v, const struct vfio_region_info *region, uint64_t at, uint64_t value,
                                unsigned size) {
        if (pwrite(v->device, &value, size, region->offset + at) != (ssize_t)size)
                check(false, "write of %u bytes at region %u + %#llx: %s", size, region->index, (long long)at,
                      strerror(errno));
}

/* The registers of BAR0 that programs use; docs/shim-abi.md has the table. */
enum {
        REG_WINDOW = 0x20,
        REG_DMA = 0x40,
        REG_OFFSET = 0x48,
        REG_LENGTH = 0x50,
        REG_PATTERN = 0x54,
        REG_COMMAND = 0x58,
        REG_STATUS = 0x5c,
        REG_DONE = 0x60,
};

enum { COMMAND_STOP, COMMAND_READ, COMMAND_WRITE, COMMAND_FILL };
enum { STATUS_IDLE, STATUS_BUSY, STATUS_DONE, STATUS_FAULT, STATUS_INVALID };

static inline void engine_start(const struct vgpu *v, uint32_t command, uint64_t dma, uint64_t offset, uint32_t length) {
        region_write(v, &bar0, REG_DMA, dma, 8);
        region_write(v, &bar0, REG_OFFSET, offset, 8);
        region_write(v, &bar0, REG_LENGTH, length, 4);
        region_write(v, &bar0, REG_COMMAND, command, 4);
}

/* The status when it is busy no more, or busy after some seconds */
static inline uint32_t engine_wait(const struct vgpu *v) {
        uint32_t status = STATUS_BUSY;

        for (unsigned i = 0; i < 3000 && status == STATUS_BUSY; i++) {
                if (i > 0)
                        usleep(10000);
                status = region_read(v, &bar0, REG_STATUS, 4);
        }
        return status;
}

/* Memory of this process that the device may reach at an address of its own; NULL with errno */
static inline void *dma_map(const struct vgpu *v, uint64_t iova, size_t size) {
        struct vfio_iommu_type1_dma_map map = {
                .argsz = sizeof(map),
                .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
                .iova = iova,
                .size = size,
        };
        void *p;

        p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
        map.vaddr = (uintptr_t)p;
        return p == MAP_FAILED || ioctl(v->container, VFIO_IOMMU_MAP_DMA, &map) < 0 ? NULL : p;
}
