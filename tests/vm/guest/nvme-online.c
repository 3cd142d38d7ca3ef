/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Gives the secondary controller NUMBER of an NVMe controller queues and an interrupt, and brings it online: until then
 * the virtual function that it is does nothing. NVM Express Base Specification 2.0, Virtualization Management command.
 *
 *     nvme-online /dev/nvme0 NUMBER
 */

#include <fcntl.h>
#include <linux/nvme_ioctl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

enum { OPCODE = 0x1c, ASSIGN = 0x8, ONLINE = 0x9, QUEUES = 0x0, INTERRUPTS = 0x1 };

static void manage(int fd, uint32_t number, uint32_t action, uint32_t resource, uint32_t n) {
        struct nvme_admin_cmd command = {
                .opcode = OPCODE,
                .cdw10 = number << 16 | resource << 8 | action,
                .cdw11 = n,
        };
        int r = ioctl(fd, NVME_IOCTL_ADMIN_CMD, &command);

        if (r != 0) {
                fprintf(stderr, "nvme-online: action %#x: %#x\n", action, (unsigned)r);
                exit(EXIT_FAILURE);
        }
}

int main(int argc, char **argv) {
        uint32_t number;
        int fd;

        if (argc != 3)
                return EXIT_FAILURE;
        number = (uint32_t)strtoul(argv[2], NULL, 10);
        fd = open(argv[1], O_RDWR | O_CLOEXEC);
        if (fd < 0) {
                perror(argv[1]);
                return EXIT_FAILURE;
        }

        manage(fd, number, ASSIGN, QUEUES, 2);
        manage(fd, number, ASSIGN, INTERRUPTS, 2);
        manage(fd, number, ONLINE, 0, 0);
        return EXIT_SUCCESS;
}
