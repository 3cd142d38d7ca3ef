/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "backend/mdev-parents.h"
#include "util/file.h"
#include "util/text.h"

static void add_parent(const Host *host, const char *name, MdevParents *parents) {
        char path[SYSFS_NAME_SIZE + 32];

        if (parents->n >= MDEV_PARENTS_MAX || strlen(name) >= sizeof(parents->names[0]))
                return;

        (void)snprintf(path, sizeof(path), "class/mdev_bus/%s", name);
        if (path_exists(host->sys_fd, path))
                (void)text_copy(parents->names[parents->n++], sizeof(parents->names[0]), name);
}

void mdev_parents_read(const Host *host, const char *gpu, MdevParents *ret_parents) {
        char path[SYSFS_NAME_SIZE + 64], vf[SYSFS_NAME_SIZE];

        ret_parents->n = 0;
        add_parent(host, gpu, ret_parents);

        for (unsigned i = 0; i + 1 < MDEV_PARENTS_MAX; i++) {
                (void)snprintf(path, sizeof(path), "bus/pci/devices/%s/virtfn%u", gpu, i);
                if (link_read_basename(host->sys_fd, path, vf, sizeof(vf)) < 0)
                        break;
                add_parent(host, vf, ret_parents);
        }
}

bool mdev_parents_find(const Host *host, const char *gpu, const char *path, char ret_parent[static SYSFS_NAME_SIZE]) {
        char target[4096], *slash;
        MdevParents parents;
        ssize_t n;

        /* ../../../devices/…/PARENT/UUID */
        n = readlinkat(host->sys_fd, path, target, sizeof(target) - 1);
        if (n < 0)
                return false;
        target[n] = '\0';

        slash = strrchr(target, '/');
        if (!slash)
                return false;
        *slash = '\0';
        slash = strrchr(target, '/');
        if (!slash)
                return false;

        mdev_parents_read(host, gpu, &parents);
        for (size_t i = 0; i < parents.n; i++)
                if (streq(parents.names[i], slash + 1))
                        return text_copy(ret_parent, SYSFS_NAME_SIZE, slash + 1);

        return false;
}
