/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What is in a vGPU, as a program sees that opens it: a register that keeps what is written, and of the reference module's
 * the framebuffer's first MiB.
 *
 *     vfio-content UUID shim|mtty put SEED MIB    fills it
 *     vfio-content UUID shim|mtty is SEED MIB     whether it holds that
 *     vfio-content UUID shim|mtty state           prints the state of its device, of enum vfio_device_mig_state
 */

#include "shim-migration.h"
#include "shim-vfio.h"

#define CHUNK (1U << 20)
#define REG_SCRATCH 0x18 /* docs/shim-abi.md */
#define REG_SCRATCH_MTTY 7 /* a 16550's */

static bool is_mtty;

static uint8_t *content(uint8_t seed, unsigned chunk) {
        static uint8_t bytes[CHUNK];
        uint32_t x = seed * 0x9e3779b9U + chunk;

        for (size_t i = 0; i < CHUNK; i++) {
                x = x * 1664525U + 1013904223U;
                bytes[i] = (uint8_t)(x >> 24);
        }
        return bytes;
}

static int put(const struct vgpu *v, uint8_t seed, unsigned n) {
        region_write(v, &bar0, is_mtty ? REG_SCRATCH_MTTY : REG_SCRATCH, seed, is_mtty ? 1 : 4);
        for (unsigned i = 0; i < n && !is_mtty; i++)
                if (pwrite(v->device, content(seed, i), CHUNK, bar1.offset + (off_t)i * CHUNK) != CHUNK)
                        return -1;
        return 0;
}

static int is(const struct vgpu *v, uint8_t seed, unsigned n) {
        static uint8_t found[CHUNK];

        if (region_read(v, &bar0, is_mtty ? REG_SCRATCH_MTTY : REG_SCRATCH, is_mtty ? 1 : 4) != seed)
                return -1;
        for (unsigned i = 0; i < n && !is_mtty; i++)
                if (pread(v->device, found, CHUNK, bar1.offset + (off_t)i * CHUNK) != CHUNK ||
                    memcmp(found, content(seed, i), CHUNK) != 0)
                        return -1;
        return 0;
}

static bool region_find(const struct vgpu *v, uint32_t index, struct vfio_region_info *ret) {
        *ret = (struct vfio_region_info){ .argsz = sizeof(*ret), .index = index };
        return ioctl(v->device, VFIO_DEVICE_GET_REGION_INFO, ret) == 0;
}

int main(int argc, char **argv) {
        struct vgpu v;
        int r = -1;

        if (argc != 4 && argc != 6)
                return 2;
        is_mtty = strcmp(argv[2], "mtty") == 0;
        if (vgpu_open(argv[1], &v) < 0 || !region_find(&v, VFIO_PCI_BAR0_REGION_INDEX, &bar0) ||
            (!is_mtty && !region_find(&v, VFIO_PCI_BAR1_REGION_INDEX, &bar1))) {
                fprintf(stderr, "vfio-content: %s: %s\n", argv[1], strerror(errno));
                return 2;
        }

        if (argc == 4)
                r = printf("%i\n", state_get(v.device)) > 0 ? 0 : -1;
        else
                r = (strcmp(argv[3], "put") == 0 ? put : is)(&v, (uint8_t)atoi(argv[4]), (unsigned)atoi(argv[5]));
        vgpu_close(&v);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
