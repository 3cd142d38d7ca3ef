/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A vGPU of the shim by VFIO's device node and iommufd, for kernels that have them: it opens, its copy engine reaches what
 * is mapped and nothing else, and events tell of its user as of any. Wants the name of a node that nobody uses; leaves it
 * with an empty set.
 */

#include <dirent.h>

#include "shim-vfio.h"

/* Linux 6.6 has these in linux/vfio.h and linux/iommufd.h; Debian 12's headers are of 6.1. */
struct bind_iommufd {
        uint32_t argsz, flags;
        int32_t iommufd;
        uint32_t out_devid;
};

struct attach_iommufd_pt {
        uint32_t argsz, flags, pt_id;
};

struct ioas_alloc {
        uint32_t size, flags, out_ioas_id;
};

struct ioas_map {
        uint32_t size, flags, ioas_id, reserved;
        uint64_t user_va, length, iova;
};

struct ioas_unmap {
        uint32_t size, ioas_id;
        uint64_t iova, length;
};

#define DEVICE_BIND_IOMMUFD _IO(VFIO_TYPE, VFIO_BASE + 18)
#define DEVICE_ATTACH_IOMMUFD_PT _IO(VFIO_TYPE, VFIO_BASE + 19)
#define IOAS_ALLOC _IO(';', 0x81)
#define IOAS_MAP _IO(';', 0x85)
#define IOAS_UNMAP _IO(';', 0x86)
#define IOAS_MAP_FIXED_IOVA (1 << 0)
#define IOAS_MAP_WRITEABLE (1 << 1)
#define IOAS_MAP_READABLE (1 << 2)

#define IOVA 0x40000000ULL
#define SIZE (1 * MIB)

/* /dev/vfio/devices/vfioN of a vGPU, open; -1 with errno */
static int device_open(const char *uuid) {
        char path[320];
        struct dirent *entry;
        int fd = -1;
        DIR *dir;

        snprintf(path, sizeof(path), "/sys/bus/mdev/devices/%s/vfio-dev", uuid);
        dir = opendir(path);
        if (!dir)
                return -1;
        while ((entry = readdir(dir)))
                if (strncmp(entry->d_name, "vfio", 4) == 0) {
                        snprintf(path, sizeof(path), "/dev/vfio/devices/%s", entry->d_name);
                        fd = open(path, O_RDWR | O_CLOEXEC);
                        break;
                }
        closedir(dir);
        return fd;
}

static int ioas_attach(int iommufd, int device, uint32_t *ret_ioas) {
        struct bind_iommufd bind = { .argsz = sizeof(bind), .iommufd = iommufd };
        struct ioas_alloc alloc = { .size = sizeof(alloc) };
        struct attach_iommufd_pt attach = { .argsz = sizeof(attach) };

        if (ioctl(device, DEVICE_BIND_IOMMUFD, &bind) < 0 || ioctl(iommufd, IOAS_ALLOC, &alloc) < 0)
                return -1;
        attach.pt_id = *ret_ioas = alloc.out_ioas_id;
        return ioctl(device, DEVICE_ATTACH_IOMMUFD_PT, &attach);
}

static void test_engine(const struct vgpu *v, int iommufd, uint32_t ioas) {
        struct ioas_map map = { .size = sizeof(map),
                                .flags = IOAS_MAP_FIXED_IOVA | IOAS_MAP_WRITEABLE | IOAS_MAP_READABLE,
                                .ioas_id = ioas,
                                .length = SIZE,
                                .iova = IOVA };
        struct ioas_unmap unmap = { .size = sizeof(unmap), .ioas_id = ioas, .iova = IOVA, .length = SIZE };
        uint8_t *p;

        p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
        map.user_va = (uintptr_t)p;
        if (!check_errno(0, ioctl(iommufd, IOAS_MAP, &map), "IOMMU_IOAS_MAP"))
                return;
        memset(p, 0x5a, SIZE);
        engine_start(v, COMMAND_READ, IOVA, 0, SIZE);
        check(engine_wait(v) == STATUS_DONE && region_read(v, &bar1, SIZE - 4, 4) == 0x5a5a5a5a, "the copy engine reads");
        engine_start(v, COMMAND_FILL, 0, 0, 4096);
        engine_wait(v);
        engine_start(v, COMMAND_WRITE, IOVA, 0, SIZE);
        check(engine_wait(v) == STATUS_DONE && p[0] == 0 && p[4096] == 0x5a, "and writes");
        engine_start(v, COMMAND_WRITE, IOVA + SIZE, 0, 4096);
        check(engine_wait(v) == STATUS_FAULT, "and goes nowhere else");
        check_errno(0, ioctl(iommufd, IOAS_UNMAP, &unmap), "IOMMU_IOAS_UNMAP");
        engine_start(v, COMMAND_WRITE, IOVA, 0, 4096);
        check(engine_wait(v) == STATUS_FAULT, "after which that is nowhere, too");
        munmap(p, SIZE);
}

int main(int argc, char *argv[]) {
        struct mdevgpu_type type = type_make(1, 2, 512 * MIB);
        struct vgpu v = { -1, -1, -1 };
        struct mdevgpu_get_usage usage;
        struct mdevgpu_set_types set;
        struct mdevgpu_vgpu row = {};
        int owner, iommufd;
        uint32_t ioas = 0;
        char path[64];

        close(node_find(argc, argv, path, sizeof(path)));
        owner = open(path, O_RDWR | O_CLOEXEC);
        shim_set(owner, &type, 1, 0, &set);
        check_errno(0, vgpu_create(1, UUID(1)), "a vGPU");
        iommufd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
        check(iommufd >= 0, "/dev/iommu");
        v.device = device_open(UUID(1));
        if (check(v.device >= 0, "its device node opens") &&
            check_errno(0, ioas_attach(iommufd, v.device, &ioas), "bound to an iommufd, attached to an address space") &&
            check(regions_find(&v), "its regions")) {
                check(shim_usage(owner, &row, 1, &usage) == 0 && row.opener == (uint32_t)getpid(), "its user is known");
                test_engine(&v, iommufd, ioas);
        }
        close(v.device);
        close(iommufd);
        check(shim_usage(owner, &row, 1, &usage) == 0 && row.opener == 0, "and gone");
        vgpu_remove(UUID(1));
        check_errno(0, shim_set(owner, NULL, 0, 0, &set), "no vGPU is left over");
        return tests_finish();
}
