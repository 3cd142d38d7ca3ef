/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Registers one type with a GPU of the shim, as "shim-set gpu0 530 0x20b01471 1024": id, what the guest sees, MiB of
 * framebuffer; with the node alone, none. The set stays when the program ends.
 */

#include "shim-test.h"

int main(int argc, char *argv[]) {
        struct mdevgpu_type type = {};
        struct mdevgpu_set_types set;
        char path[64];
        int fd;

        if (argc != 2 && argc != 5) {
                fprintf(stderr, "Usage: shim-set NODE [ID VDEV-ID FRAMEBUFFER-MIB]\n");
                return 2;
        }
        if (argc == 5) {
                type = type_make(strtoul(argv[2], NULL, 0), 4, strtoul(argv[4], NULL, 0) * MIB);
                type.vdev_id = strtoul(argv[3], NULL, 0);
                type.bar1_size = 64 * MIB;
                type.heads = 0;
        }

        snprintf(path, sizeof(path), "/dev/mdevgpu/%s", argv[1]);
        fd = open(path, O_RDWR | O_CLOEXEC);
        if (fd < 0 || shim_set(fd, &type, argc == 5, 0, &set) < 0) {
                fprintf(stderr, "shim-set: %s: %s, verdict %u\n", path, strerror(errno), type.verdict);
                return 1;
        }
        return 0;
}
