/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * VFIO's nodes on the simulated machine: containers and groups, with the errors of kernel 6.12 (drivers/vfio/container.c,
 * group.c). Real files are open, so that who holds a vGPU is seen as anywhere else.
 *
 * What the kernel knows of one opening is the position in its file, which is the opening's own and goes with it; nobody reads
 * these files. Of a container it is its IOMMU's type and, above that, the number of its groups; of a group its container's
 * descriptor, plus one.
 */

#include <fcntl.h>
#include <linux/vfio.h>
#include <sys/file.h>

#include "sim/sim-vfio.h"
#include "util/file.h"
#include "util/text.h"

#define CONTAINER_NODE "dev/vfio/vfio"
#define GROUP_FOLDER "dev/vfio/"
#define DEVICE_FOLDER "kernel/devices/"
#define SESSION_FOLDER "kernel/sessions/"

#define CONTAINER_IOMMU_MASK 0xffU
#define CONTAINER_GROUP 0x100U

/* What a descriptor has open, as a path below ROOT; -ENOTTY: nothing there. */
static int target_of(const SimHost *sim, int fd, char *ret_path, size_t size) {
        size_t n = strlen(sim->root);
        char link[64], target[512];
        ssize_t k;

        (void)snprintf(link, sizeof(link), "/proc/self/fd/%i", fd);
        k = readlink(link, target, sizeof(target) - 1);
        if (k < 0)
                return -EBADF;
        target[k] = '\0';
        if (strncmp(target, sim->root, n) != 0 || target[n] != '/' || !text_copy(ret_path, size, target + n + 1))
                return -ENOTTY;

        return strstr(ret_path, " (deleted)") ? -ENODEV : 0;
}

/* The name below a folder; NULL: it is not there. */
static const char *name_below(const char *path, const char *folder) {
        size_t n = strlen(folder);

        return strncmp(path, folder, n) == 0 ? path + n : NULL;
}

static bool is_container(const SimHost *sim, int fd) {
        char path[512];

        return target_of(sim, fd, path, sizeof(path)) >= 0 && streq(path, CONTAINER_NODE);
}

static unsigned mark_read(int fd) {
        off_t at = lseek(fd, 0, SEEK_CUR);

        return at < 0 ? 0 : (unsigned)at;
}

static int mark_write(int fd, unsigned mark) {
        return lseek(fd, (off_t)mark, SEEK_SET) < 0 ? negative_errno() : 0;
}

static bool container_has_iommu(int fd) {
        return (mark_read(fd) & CONTAINER_IOMMU_MASK) != 0;
}

static int set_iommu(int fd, uintptr_t type) {
        unsigned mark = mark_read(fd);

        if (mark < CONTAINER_GROUP || (mark & CONTAINER_IOMMU_MASK) != 0)
                return -EINVAL;
        if (type != VFIO_TYPE1_IOMMU && type != VFIO_TYPE1v2_IOMMU)
                return -ENODEV;

        return mark_write(fd, mark | (unsigned)type);
}

static int container_ioctl(int fd, unsigned long request, void *argument) {
        switch (request) {
        case VFIO_GET_API_VERSION:
                return VFIO_API_VERSION;
        case VFIO_SET_IOMMU:
                return set_iommu(fd, (uintptr_t)argument);
        default:
                return container_has_iommu(fd) ? -ENOTTY : -EINVAL;
        }
}

static int get_status(const SimHost *sim, int fd, unsigned group, struct vfio_group_status *status) {
        bool has_container = mark_read(fd) > 0;

        if (status->argsz < sizeof(*status))
                return -EINVAL;

        status->flags = 0;
        if (has_container || sim_pci_group_is_viable(sim, group))
                status->flags = VFIO_GROUP_FLAGS_VIABLE;
        if (has_container)
                status->flags |= VFIO_GROUP_FLAGS_CONTAINER_SET;
        return 0;
}

static int set_container(const SimHost *sim, int fd, unsigned group, int container_fd) {
        int r;

        if (container_fd < 0 || mark_read(fd) > 0)
                return -EINVAL;
        if (fcntl(container_fd, F_GETFD) < 0)
                return -EBADF;
        if (!is_container(sim, container_fd))
                return -EBADFD;
        if (!sim_pci_group_is_viable(sim, group))
                return -EPERM;

        r = mark_write(container_fd, mark_read(container_fd) + CONTAINER_GROUP);
        return r < 0 ? r : mark_write(fd, (unsigned)container_fd + 1U);
}

static int get_device(const SimHost *sim, int fd, unsigned group, const char *name) {
        unsigned mark = mark_read(fd);

        if (!text_is_name(name) || !sim_exists(sim, "sys/kernel/iommu_groups/%u/devices/%s", group, name))
                return -ENODEV;
        if (mark == 0 || !is_container(sim, (int)mark - 1) || !container_has_iommu((int)mark - 1))
                return -EINVAL;

        return sim_device_open(sim, name);
}

static int group_ioctl(const SimHost *sim, int fd, unsigned group, unsigned long request, void *argument) {
        switch (request) {
        case VFIO_GROUP_GET_STATUS:
                return get_status(sim, fd, group, argument);
        case VFIO_GROUP_SET_CONTAINER:
                return set_container(sim, fd, group, *(const int *)argument);
        case VFIO_GROUP_GET_DEVICE_FD:
                return get_device(sim, fd, group, argument);
        default:
                return -ENOTTY;
        }
}

int sim_vfio_ioctl(const SimHost *sim, int fd, unsigned long request, void *argument) {
        const char *name;
        char path[512];
        unsigned group;
        int r;

        r = target_of(sim, fd, path, sizeof(path));
        if (r < 0)
                return r;

        if (streq(path, CONTAINER_NODE))
                return container_ioctl(fd, request, argument);
        if (sscanf(path, GROUP_FOLDER "%u", &group) == 1)
                return group_ioctl(sim, fd, group, request, argument);
        if ((name = name_below(path, DEVICE_FOLDER)))
                return sim_device_ioctl(sim, fd, name, request, argument);
        if (name_below(path, SESSION_FOLDER))
                return sim_session_ioctl(sim, fd, request, argument);
        return -ENOTTY;
}

int sim_vfio_check_data(const SimHost *sim, int fd) {
        char path[512];
        int r;

        r = target_of(sim, fd, path, sizeof(path));
        return r >= 0 && !name_below(path, SESSION_FOLDER) ? -EINVAL : r;
}

/* A container is each opening's own; a group has one opening at a time, whoever has it. */
int sim_vfio_open(const SimHost *sim, const char *path, int flags) {
        _cleanup_(fd_closep) int fd = -EBADF;
        unsigned group;

        if (sscanf(path, "vfio/%u", &group) == 1 && sim_group_is_held(sim, group))
                return -EBUSY;
        fd = openat(sim->host.dev_fd, path, flags | O_CLOEXEC);
        if (fd < 0)
                return negative_errno();
        if (!streq(path, "vfio/vfio") && flock(fd, LOCK_EX | LOCK_NB) < 0)
                return errno == EWOULDBLOCK ? -EBUSY : negative_errno();

        return TAKE_FD(fd);
}
