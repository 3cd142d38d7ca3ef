/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Holds a mediated device or a PCI device open, as a virtual machine would, until it is killed. Says "holding" when it
 * does.
 *
 *     vfio-hold [--hidden] [--uid UID] UUID|ADDRESS
 *
 * --uid: become that user once the device is open. --hidden: put the open files into a socket and close them, so that
 * they are in flight between nobody and nobody: the device is held and no /proc/PID/fd shows it.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONTAINER, GROUP, DEVICE, N_FILES };

static void die(const char *what) {
        fprintf(stderr, "vfio-hold: %s: %s\n", what, strerror(errno));
        exit(EXIT_FAILURE);
}

/* The group's number is the last word of where the device's iommu_group points. */
static void group_path(const char *name, char *ret_path, size_t size) {
        char link[128], target[256];
        ssize_t n;

        snprintf(link, sizeof(link), "/sys/bus/%s/devices/%s/iommu_group", strchr(name, ':') ? "pci" : "mdev", name);
        n = readlink(link, target, sizeof(target) - 1);
        if (n < 0)
                die(link);
        target[n] = '\0';
        snprintf(ret_path, size, "/dev/vfio/%s", strrchr(target, '/') + 1);
}

static void device_open(const char *name, int files[N_FILES]) {
        char path[300];

        group_path(name, path, sizeof(path));
        files[CONTAINER] = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
        if (files[CONTAINER] < 0)
                die("/dev/vfio/vfio");
        files[GROUP] = open(path, O_RDWR | O_CLOEXEC);
        if (files[GROUP] < 0)
                die(path);
        if (ioctl(files[GROUP], VFIO_GROUP_SET_CONTAINER, &files[CONTAINER]) < 0)
                die("VFIO_GROUP_SET_CONTAINER");
        if (ioctl(files[CONTAINER], VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU) < 0)
                die("VFIO_SET_IOMMU");
        files[DEVICE] = ioctl(files[GROUP], VFIO_GROUP_GET_DEVICE_FD, name);
        if (files[DEVICE] < 0)
                die("VFIO_GROUP_GET_DEVICE_FD");
}

static void files_hide(const int files[N_FILES]) {
        union {
                struct cmsghdr header;
                char buffer[CMSG_SPACE(sizeof(int) * N_FILES)];
        } control = {};
        struct iovec iov = { .iov_base = (char[1]) { 0 }, .iov_len = 1 };
        struct msghdr message = {
                .msg_iov = &iov,
                .msg_iovlen = 1,
                .msg_control = &control,
                .msg_controllen = sizeof(control),
        };
        int sockets[2];

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) < 0)
                die("socketpair");
        control.header.cmsg_len = CMSG_LEN(sizeof(int) * N_FILES);
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        memcpy(CMSG_DATA(&control.header), files, sizeof(int) * N_FILES);
        if (sendmsg(sockets[0], &message, 0) < 0)
                die("sendmsg");
        for (int i = 0; i < N_FILES; i++)
                close(files[i]);
}

int main(int argc, char *argv[]) {
        int files[N_FILES], hidden = 0, i = 1;
        uid_t uid = 0;

        for (; i < argc && argv[i][0] == '-'; i++)
                if (strcmp(argv[i], "--hidden") == 0)
                        hidden = 1;
                else if (strcmp(argv[i], "--uid") == 0 && i + 1 < argc)
                        uid = (uid_t) strtoul(argv[++i], NULL, 10);
        if (i != argc - 1) {
                fprintf(stderr, "Usage: vfio-hold [--hidden] [--uid UID] UUID\n");
                return 2;
        }

        device_open(argv[i], files);
        if (hidden)
                files_hide(files);
        if (uid != 0 && setresuid(uid, uid, uid) < 0)
                die("setresuid");
        printf("holding\n");
        fflush(stdout);
        for (;;)
                pause();
}
