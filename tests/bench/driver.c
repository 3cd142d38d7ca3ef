/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A driver over a sysfs of files in memory, preloaded into whoever writes to it: "create" makes a device and its links,
 * "remove" takes them away, in the very call, as a kernel's does. It does nothing
 * else, and so it takes next to no time.
 */

#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>

#include "daemon/util/cleanup.h"

#define DRIVER_PARENTS "/sys/devices/pci0000:3a/"

typedef ssize_t (*WriteFunction)(int fd, const void *data, size_t size);

ssize_t write(int fd, const void *data, size_t size);

/* The last component of path, which ends before it. */
static char *cut(char *path) {
        char *slash = strrchr(path, '/');

        *slash = '\0';
        return slash + 1;
}

_printf_(3, 4) static void link_to(const char *folder, const char *name, const char *format, ...) {
        char target[4352], path[8192];
        va_list arguments;

        va_start(arguments, format);
        (void)vsnprintf(target, sizeof(target), format, arguments);
        va_end(arguments);
        (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
        (void)symlink(target, path);
}

/* …/PARENT/mdev_supported_types/TYPE: a device there. */
static void create(char *type, const char *uuid) {
        char device[4352], devices[4608], file[4608], *id = cut(type), *parent;

        (void)cut(type);
        (void)snprintf(device, sizeof(device), "%s/%s", type, uuid);
        (void)snprintf(devices, sizeof(devices), "%s/mdev_supported_types/%s/devices", type, id);
        parent = cut(type);

        (void)mkdir(device, 0755);
        (void)snprintf(file, sizeof(file), "%s/remove", device);
        (void)close(open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0200));
        link_to(device, "mdev_type", "../mdev_supported_types/%s", id);
        link_to(device, "iommu_group", "../../../../kernel/iommu_groups/1");
        link_to(devices, uuid, "../../../%s", uuid);
        link_to("/sys/bus/mdev/devices", uuid, "../../../devices/pci0000:3a/%s/%s", parent, uuid);
}

/* …/PARENT/UUID goes. */
static void destroy(char *device) {
        char path[8192], type[256], *uuid;
        ssize_t n;

        (void)snprintf(path, sizeof(path), "%s/mdev_type", device);
        n = readlink(path, type, sizeof(type) - 1);
        type[MAX(n, 0)] = '\0';
        (void)unlink(path);
        (void)snprintf(path, sizeof(path), "%s/iommu_group", device);
        (void)unlink(path);
        (void)snprintf(path, sizeof(path), "%s/remove", device);
        (void)unlink(path);
        (void)rmdir(device);

        uuid = cut(device);
        (void)snprintf(path, sizeof(path), "%s/mdev_supported_types/%s/devices/%s", device, strrchr(type, '/') + 1,
                       uuid);
        (void)unlink(path);
        (void)snprintf(path, sizeof(path), "/sys/bus/mdev/devices/%s", uuid);
        (void)unlink(path);
}

/* The attribute that fd is, in its folder; NULL if it is none of ours. */
static char *find_attribute(int fd, char *path, size_t size) {
        char self[64];
        ssize_t n;

        (void)snprintf(self, sizeof(self), "/proc/self/fd/%i", fd);
        n = readlink(self, path, size - 1);
        path[MAX(n, 0)] = '\0';
        return strncmp(path, DRIVER_PARENTS, strlen(DRIVER_PARENTS)) == 0 ? cut(path) : NULL;
}

__attribute__((visibility("default"))) ssize_t write(int fd, const void *data, size_t size) {
        static WriteFunction real;
        char path[4096], uuid[37] = "";
        const char *name;

        if (!real)
                real = (WriteFunction)(uintptr_t)dlsym(RTLD_NEXT, "write");

        /* A UUID, or a number. */
        name = size <= 37 ? find_attribute(fd, path, sizeof(path)) : NULL;
        if (name && streq(name, "create") && size >= 36) {
                memcpy(uuid, data, 36);
                create(path, uuid);
        } else if (name && streq(name, "remove"))
                destroy(path);
        else
                return real(fd, data, size);

        return (ssize_t)size;
}
