/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Sends what udev sends to those who listen to it (systemd 252, src/libsystemd/sd-device/device-monitor.c): that a device
 * has changed, with what else is given as NAME=VALUE.
 *
 *     udev-forge DEVPATH SUBSYSTEM [NAME=VALUE…]
 */

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAGIC 0xfeedcafeU
#define GROUP_UDEV 2U

struct header {
        char prefix[8];
        uint32_t magic, header_size, properties_off, properties_len;
        uint32_t subsystem_hash, devtype_hash, tag_bloom_hi, tag_bloom_lo;
};

static size_t add(char *properties, size_t n, size_t size, const char *name, const char *value) {
        int k = snprintf(properties + n, size - n, "%s%s", name, value);

        if (k < 0 || (size_t)k >= size - n) {
                fprintf(stderr, "udev-forge: too much\n");
                exit(2);
        }
        return n + (size_t)k + 1;
}

int main(int argc, char *argv[]) {
        struct header header = { .prefix = "libudev", .magic = htonl(MAGIC), .header_size = sizeof(header) };
        struct sockaddr_nl to = { .nl_family = AF_NETLINK, .nl_groups = GROUP_UDEV };
        char properties[1024];
        struct iovec iov[] = { { &header, sizeof(header) }, { properties, 0 } };
        struct msghdr message = { .msg_name = &to, .msg_namelen = sizeof(to), .msg_iov = iov, .msg_iovlen = 2 };
        size_t n = 0;
        int fd;

        if (argc < 3) {
                fprintf(stderr, "Usage: udev-forge DEVPATH SUBSYSTEM [NAME=VALUE…]\n");
                return 2;
        }

        n = add(properties, n, sizeof(properties), "ACTION=", "change");
        n = add(properties, n, sizeof(properties), "SEQNUM=", "1");
        n = add(properties, n, sizeof(properties), "DEVPATH=", argv[1]);
        n = add(properties, n, sizeof(properties), "SUBSYSTEM=", argv[2]);
        for (int i = 3; i < argc; i++)
                n = add(properties, n, sizeof(properties), "", argv[i]);
        iov[1].iov_len = n;
        header.properties_off = sizeof(header);
        header.properties_len = (uint32_t)n;

        fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
        if (fd < 0 || sendmsg(fd, &message, 0) < 0) {
                fprintf(stderr, "udev-forge: %s\n", strerror(errno));
                return 1;
        }
        return 0;
}
