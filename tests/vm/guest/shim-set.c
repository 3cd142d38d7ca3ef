/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Registers types with a GPU of the shim, as "shim-set gpu0 530 0x20b01471 1024": id, what the guest sees, MiB of
 * framebuffer (and behind a colon of BAR1, 64 without that), as often as wanted; with the node alone, none. The set stays when
 * the program ends.
 */

#include "shim-test.h"

#define TYPES_MAX 16

int main(int argc, char *argv[]) {
        struct mdevgpu_type types[TYPES_MAX];
        struct mdevgpu_set_types set;
        uint32_t n = (argc - 2) / 3;
        char path[64];
        int fd;

        if (argc < 2 || (argc - 2) % 3 != 0 || n > TYPES_MAX) {
                fprintf(stderr, "Usage: shim-set NODE [ID VDEV-ID FRAMEBUFFER-MIB[:BAR1-MIB]]...\n");
                return 2;
        }
        for (uint32_t i = 0; i < n; i++) {
                char **arg = &argv[2 + i * 3];
                const char *bar1 = strchr(arg[2], ':');

                types[i] = type_make(strtoul(arg[0], NULL, 0), 4, strtoul(arg[2], NULL, 0) * MIB);
                types[i].vdev_id = strtoul(arg[1], NULL, 0);
                types[i].bar1_size = (bar1 ? strtoul(bar1 + 1, NULL, 0) : 64) * MIB;
                types[i].heads = 0;
        }

        snprintf(path, sizeof(path), "/dev/mdevgpu/%s", argv[1]);
        fd = open(path, O_RDWR | O_CLOEXEC);
        if (fd < 0 || shim_set(fd, types, n, 0, &set) < 0) {
                fprintf(stderr, "shim-set: %s: %s\n", path, strerror(errno));
                return 1;
        }
        return 0;
}
