/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A burst of events as udev passes them on, of devices in turn: the format of libudev's monitor (systemd 252,
 * src/libsystemd/sd-device/device-monitor.c), to the multicast group that udev sends to.
 */

#include <arpa/inet.h>
#include <linux/netlink.h>
#include <stdarg.h>
#include <sys/socket.h>

#include "bench.h"

#define GROUP_UDEV 2U
#define MAGIC 0xfeedcafeU

struct header {
        char prefix[8];
        uint32_t magic;
        uint32_t header_size;
        uint32_t properties_offset;
        uint32_t properties_size;
        uint32_t filter[4];
};

typedef struct Properties {
        char data[1024];
        size_t n;
} Properties;

_printf_(2, 3) static void add(Properties *p, const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        p->n += (size_t)vsnprintf(p->data + p->n, sizeof(p->data) - p->n, format, arguments) + 1;
        va_end(arguments);
}

/* DEVICE is SUBSYSTEM:DEVPATH. */
static void send_event(int fd, const char *device, size_t number) {
        struct sockaddr_nl to = { .nl_family = AF_NETLINK, .nl_groups = GROUP_UDEV };
        const char *devpath = strchr(device, ':');
        Properties p = {};
        struct header header = { .prefix = "libudev" };
        struct iovec iov[] = { { &header, sizeof(header) }, { p.data, 0 } };
        struct msghdr message = { .msg_name = &to, .msg_namelen = sizeof(to), .msg_iov = iov, .msg_iovlen = 2 };

        if (!devpath)
                bench_die("'%s' is not SUBSYSTEM:DEVPATH", device);
        add(&p, "ACTION=change");
        add(&p, "DEVPATH=%s", devpath + 1);
        add(&p, "SUBSYSTEM=%.*s", (int)(devpath - device), device);
        add(&p, "SEQNUM=%zu", number + 1);
        add(&p, "USEC_INITIALIZED=123456789");
        add(&p, "DRIVER=bench");
        add(&p, "PCI_CLASS=30200");
        add(&p, "PCI_ID=1234:5678");
        add(&p, "ID_VENDOR_FROM_DATABASE=Example Corporation");
        add(&p, "ID_MODEL_FROM_DATABASE=Example Accelerator 40GB");
        add(&p, "MODALIAS=pci:v00001234d00005678sv00001234sd00005678bc03sc02i00");
        add(&p, "TAGS=:systemd:");
        add(&p, "CURRENT_TAGS=:systemd:");
        header.magic = htonl(MAGIC);
        header.header_size = header.properties_offset = sizeof(header);
        header.properties_size = (uint32_t)p.n;
        iov[1].iov_len = p.n;
        /* Where nobody listens it says so; who listens and has no room left is told by the kernel. */
        if (sendmsg(fd, &message, 0) < 0)
                bench_die("Event %zu: %s", number, strerror(errno));
}

int bench_burst(int argc, char **argv) {
        size_t n = strtoul(argv[0], NULL, 10), n_devices = (size_t)argc - 1;
        double t;
        int fd;

        fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
        if (fd < 0)
                bench_die("socket: %s", strerror(errno));

        t = bench_now();
        for (size_t i = 0; i < n; i++)
                send_event(fd, argv[1 + i % n_devices], i);
        printf("burst %.3f\n", bench_now() - t);
        return EXIT_SUCCESS;
}
