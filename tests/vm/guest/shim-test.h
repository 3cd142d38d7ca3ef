/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the test programs of the shim share: counting, files of sysfs, one type to begin with. They run as root in the
 * rig's guest, with the reference module loaded, and are compiled statically.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mdevgpu-shim.h"

#define MIB (1024ULL * 1024)
#define DRIVER "/sys/bus/pci/drivers/mdevgpu_ref"

static unsigned n_passed, n_failed, n_skipped;

static inline bool check(bool good, const char *format, ...) __attribute__((format(printf, 2, 3)));
static inline bool check(bool good, const char *format, ...) {
        va_list ap;

        if (good)
                n_passed++;
        else
                n_failed++;
        printf(good ? "  ok      " : "  FAILED  ");
        va_start(ap, format);
        vprintf(format, ap);
        va_end(ap);
        putchar('\n');
        fflush(stdout);
        return good;
}

/* A call that answers 0 or -1 with errno: what it should be, 0 for success */
static inline bool check_errno(int expected, int r, const char *name) {
        int error = r < 0 ? errno : 0;

        if (error == expected)
                return check(true, "%s: %s", name, expected ? strerror(expected) : "succeeds");
        return check(false, "%s: %s, not %s", name, strerror(error), expected ? strerror(expected) : "success");
}

static inline int tests_finish(void) {
        printf("\n%u passed, %u failed, %u skipped\n", n_passed, n_failed, n_skipped);
        return n_failed == 0 && n_passed > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* 0 or -1 with errno */
static inline int file_write(const char *path, const char *value) {
        ssize_t n;
        int fd, error;

        fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd < 0)
                return -1;
        n = write(fd, value, strlen(value));
        error = errno;
        close(fd);
        errno = error;
        return n < 0 ? -1 : 0;
}

static inline bool file_reads(const char *path, const char *expected) {
        char text[4096];
        ssize_t n;
        int fd;

        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return false;
        n = read(fd, text, sizeof(text) - 1);
        close(fd);
        if (n < 0)
                return false;
        text[n] = '\0';
        text[strcspn(text, "\n")] = '\0';
        if (strcmp(text, expected) == 0)
                return true;
        printf("          %s: \"%s\", not \"%s\"\n", path, text, expected);
        return false;
}

static inline int module_delete(const char *name) {
        return syscall(SYS_delete_module, name, O_NONBLOCK);
}

static inline struct mdevgpu_type type_make(uint32_t id, uint32_t max_instances, uint64_t framebuffer) {
        struct mdevgpu_type t = {
                .id = id,
                .max_instances = max_instances,
                .type_class = "Compute",
                .framebuffer = framebuffer,
                .framebuffer_reserved = 64 * MIB,
                .mappable_video = 24 * MIB,
                .bar1_size = 256 * MIB,
                .vdev_id = 0x20b01471,
                .pdev_id = 0x20b0,
                .heads = 4,
                .max_width = 1920,
                .max_height = 1080,
                .frame_limit = 120,
                .encoder_percent = 100,
                .flags = MDEVGPU_TYPE_ECC | MDEVGPU_TYPE_FRAME_LIMITER,
        };

        snprintf(t.name, sizeof(t.name), "Test type/%u", id);
        return t;
}

static inline int shim_identify(int fd, struct mdevgpu_identify *ret) {
        *ret = (struct mdevgpu_identify){ .size = sizeof(*ret) };
        return ioctl(fd, MDEVGPU_IDENTIFY, ret);
}

/* SET_TYPES as the daemon does it; what came back is in *ret. */
static inline int shim_set(int fd, struct mdevgpu_type *types, uint32_t n_types, uint32_t flags,
                           struct mdevgpu_set_types *ret) {
        *ret = (struct mdevgpu_set_types){
                .size = sizeof(*ret),
                .type_size = sizeof(*types),
                .types = (uintptr_t)types,
                .n_types = n_types,
                .flags = flags,
        };
        return ioctl(fd, MDEVGPU_SET_TYPES, ret);
}

static inline int shim_get(int fd, struct mdevgpu_type *types, uint32_t room, struct mdevgpu_get_types *ret) {
        *ret = (struct mdevgpu_get_types){
                .size = sizeof(*ret),
                .type_size = sizeof(*types),
                .types = (uintptr_t)types,
                .n_types = room,
        };
        return ioctl(fd, MDEVGPU_GET_TYPES, ret);
}

/* What GET_TYPES gives of the types that are retired */
static inline int shim_get_retired(int fd, struct mdevgpu_type *types, uint32_t room, struct mdevgpu_get_types *ret) {
        *ret = (struct mdevgpu_get_types){
                .size = sizeof(*ret),
                .type_size = sizeof(*types),
                .types = (uintptr_t)types,
                .n_types = room,
                .flags = MDEVGPU_GET_RETIRED,
        };
        return ioctl(fd, MDEVGPU_GET_TYPES, ret);
}

static inline int shim_usage(int fd, struct mdevgpu_vgpu *vgpus, uint32_t room, struct mdevgpu_get_usage *ret) {
        *ret = (struct mdevgpu_get_usage){
                .size = sizeof(*ret),
                .vgpu_size = sizeof(*vgpus),
                .vgpus = (uintptr_t)vgpus,
                .n_vgpus = room,
        };
        return ioctl(fd, MDEVGPU_GET_USAGE, ret);
}

/* The GPU's folder in sysfs; the program sets it. */
static char *gpu_path;

static inline int vgpu_create(uint32_t id, const char *uuid) {
        char path[256];

        snprintf(path, sizeof(path), "%s/mdev_supported_types/mdevgpu_ref-%u/create", gpu_path, id);
        return file_write(path, uuid);
}

static inline bool type_attribute(uint32_t id, const char *name, const char *expected) {
        char path[256];

        snprintf(path, sizeof(path), "%s/mdev_supported_types/mdevgpu_ref-%u/%s", gpu_path, id, name);
        return file_reads(path, expected);
}

static inline bool type_exists(uint32_t id) {
        char path[256];

        snprintf(path, sizeof(path), "%s/mdev_supported_types/mdevgpu_ref-%u", gpu_path, id);
        return access(path, F_OK) == 0;
}

static inline int vgpu_remove(const char *uuid) {
        char path[256];

        snprintf(path, sizeof(path), "/sys/bus/mdev/devices/%s/remove", uuid);
        return file_write(path, "1");
}

#define UUID(n) "5b8c9e12-0000-4000-8000-00000000000" #n

/* What all programs begin with: the node that the one argument names, open for reading; ends the program without. */
static inline int node_find(int argc, char *argv[], char *ret_path, size_t size) {
        char link[96];
        int fd;

        if (argc != 2) {
                fprintf(stderr, "Usage: %s NODE (as gpu0)\n", argv[0]);
                exit(2);
        }
        snprintf(ret_path, size, "/dev/mdevgpu/%s", argv[1]);
        snprintf(link, sizeof(link), "/sys/class/mdevgpu/%s/device", argv[1]);
        gpu_path = realpath(link, NULL);
        fd = open(ret_path, O_RDONLY | O_CLOEXEC);
        if (!check(fd >= 0 && gpu_path, "%s opens for reading", ret_path))
                exit(tests_finish());
        return fd;
}
