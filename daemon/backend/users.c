/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <sys/stat.h>

#include "backend/users.h"
#include "util/file.h"
#include "util/text.h"

/* What a descriptor of the vGPU is, in /proc/PID/fd. A node is told by its device number, as it may lie under another
 * path in a container or be another inode there; on the simulated host by its inode. */
typedef struct Nodes {
        struct stat nodes[USERS_NODES_MAX];
        size_t n_nodes;
        char syspath[600]; /* empty: unknown */
} Nodes;

static void add_node(const Host *host, const char *path, Nodes *nodes) {
        if (nodes->n_nodes < USERS_NODES_MAX && fstatat(host->dev_fd, path, &nodes->nodes[nodes->n_nodes], 0) >= 0)
                nodes->n_nodes++;
}

static void add_cdev(const Host *host, const char *device, Nodes *nodes) {
        _cleanup_(dir_closep) DIR *dir = NULL;
        char path[SYSFS_NAME_SIZE + 64];
        struct dirent *entry;

        (void)snprintf(path, sizeof(path), "%s/vfio-dev", device);
        if (directory_list(host->sys_fd, path, &dir) < 0)
                return;

        entry = directory_next(dir);
        if (!entry)
                return;

        (void)snprintf(path, sizeof(path), "vfio/devices/%s", entry->d_name);
        add_node(host, path, nodes);
}

static void find_nodes(const Host *host, const char *device, int32_t iommu_group, Nodes *nodes) {
        char path[SYSFS_NAME_SIZE + 64], group[SYSFS_NAME_SIZE], target[512];
        const char *devices;
        ssize_t n;

        *nodes = (Nodes){};
        (void)snprintf(path, sizeof(path), "%s/iommu_group", device);
        if (link_read_basename(host->sys_fd, path, group, sizeof(group)) < 0)
                (void)snprintf(group, sizeof(group), "%i", (int)iommu_group);
        if (group[0] != '-') {
                (void)snprintf(target, sizeof(target), "vfio/%s", group);
                add_node(host, target, nodes);
        }
        add_cdev(host, device, nodes);

        n = readlinkat(host->sys_fd, device, target, sizeof(target) - 1);
        if (n > 0) {
                target[n] = '\0';
                devices = strstr(target, "/devices/");
                if (devices)
                        (void)snprintf(nodes->syspath, sizeof(nodes->syspath), "vfio-device-syspath: /sys%s\n",
                                       devices);
        }
}

static bool is_node(const Nodes *nodes, const struct stat *st) {
        for (size_t i = 0; i < nodes->n_nodes; i++) {
                const struct stat *node = &nodes->nodes[i];

                if (S_ISCHR(node->st_mode) ? S_ISCHR(st->st_mode) && st->st_rdev == node->st_rdev
                                           : st->st_dev == node->st_dev && st->st_ino == node->st_ino)
                        return true;
        }

        return false;
}

static bool fdinfo_names(int proc_fd, const char *pid, const char *fd, const char *syspath) {
        _cleanup_(fd_closep) int info_fd = -EBADF;
        char path[128], text[2048];
        ssize_t n;

        (void)snprintf(path, sizeof(path), "%.20s/fdinfo/%.20s", pid, fd);
        info_fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
        if (info_fd < 0)
                return false;

        n = read(info_fd, text, sizeof(text) - 1);
        if (n <= 0)
                return false;

        text[n] = '\0';
        return strstr(text, syspath);
}

static bool fd_is_ours(int proc_fd, const char *pid, int fds_fd, const char *fd, const Nodes *nodes) {
        char target[512];
        struct stat st;
        ssize_t n;

        n = readlinkat(fds_fd, fd, target, sizeof(target) - 1);
        if (n < 0)
                return false;
        target[n] = '\0';

        /* By name first: stat() of just any descriptor may wait for a dead file server. */
        if (strstr(target, "/vfio/") || strstr(target, "/dri/") || strstr(target, "/nvidia"))
                return fstatat(fds_fd, fd, &st, 0) >= 0 && is_node(nodes, &st);

        return nodes->syspath[0] != '\0' && streq(target, "anon_inode:[vfio-device]") &&
               fdinfo_names(proc_fd, pid, fd, nodes->syspath);
}

/* Without one of these open, nobody who has a group open can do anything with a device of it. */
static bool fd_is_way_in(int fds_fd, const char *fd) {
        char target[512];
        ssize_t n;

        n = readlinkat(fds_fd, fd, target, sizeof(target) - 1);
        if (n < 0)
                return false;
        target[n] = '\0';

        return strstr(target, "/vfio/vfio") || strstr(target, "/vfio/devices/") || strstr(target, "/iommu") ||
               streq(target, "anon_inode:[vfio-device]");
}

/*
 * libvirt opens the group of a device that it has removed, so that nobody begins to use it meanwhile, and keeps it open until
 * mdevctl has ended (observed: libvirt 9.0, nodeDeviceDestroy()). That is no use, or nothing could be removed through it.
 */
static bool may_keep_group(int proc_fd, const char *pid) {
        char path[64], comm[32];
        struct stat st;

        (void)snprintf(path, sizeof(path), "%.20s/comm", pid);
        attribute_read_text(proc_fd, path, comm, sizeof(comm));
        if (!streq(comm, "libvirtd") && !streq(comm, "virtnodedevd"))
                return false;

        (void)snprintf(path, sizeof(path), "%.20s", pid);
        return fstatat(proc_fd, path, &st, 0) >= 0 && st.st_uid == 0;
}

static bool process_holds(int proc_fd, const char *pid, const Nodes *nodes) {
        _cleanup_(dir_closep) DIR *dir = NULL;
        char path[64];
        struct dirent *entry;
        bool holds = false;

        (void)snprintf(path, sizeof(path), "%.20s/fd", pid);
        if (directory_list(proc_fd, path, &dir) < 0)
                return false;

        while (!holds && (entry = directory_next(dir)))
                holds = fd_is_ours(proc_fd, pid, dirfd(dir), entry->d_name, nodes);
        if (!holds || !may_keep_group(proc_fd, pid))
                return holds;

        rewinddir(dir);
        while ((entry = directory_next(dir)))
                if (fd_is_way_in(dirfd(dir), entry->d_name))
                        return true;

        return false;
}

/* The innermost unit of a control group path: its last component that ends in .service or .scope. */
static void parse_unit(char *cgroup, char *unit, size_t size) {
        char *slash;

        cgroup[strcspn(cgroup, "\n")] = '\0';
        while ((slash = strrchr(cgroup, '/'))) {
                const char *dot = strrchr(slash, '.');

                if (dot && (streq(dot, ".service") || streq(dot, ".scope"))) {
                        (void)text_copy(unit, size, slash + 1);
                        text_sanitize(unit);
                        return;
                }
                *slash = '\0';
        }
}

/* What QEMU's own -name says: "web1", or "guest=web1,debug-threads=on". */
static void parse_vm_name(const char *value, char *vm, size_t size) {
        char name[512];

        if (strncmp(value, "guest=", 6) == 0)
                value += 6;
        (void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(value, ","), value);
        text_sanitize(name);
        (void)text_copy(vm, size, name);
}

/* libvirt puts -name first, and others early: the first page of the arguments is enough. */
static void read_vm(int proc_fd, const char *pid, User *user) {
        _cleanup_(fd_closep) int fd = -EBADF;
        char path[64], arguments[4096 + 1];
        const char *argument;
        ssize_t n;

        if (!strstr(user->comm, "qemu"))
                return;

        (void)snprintf(path, sizeof(path), "%.20s/cmdline", pid);
        fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
        n = fd < 0 ? -1 : read(fd, arguments, sizeof(arguments) - 1);
        if (n <= 0)
                return;

        arguments[n] = '\0';
        for (argument = arguments; argument < arguments + n; argument += strlen(argument) + 1)
                if (streq(argument, "-name") || streq(argument, "--name")) {
                        argument += strlen(argument) + 1;
                        if (argument < arguments + n)
                                parse_vm_name(argument, user->vm, sizeof(user->vm));
                        return;
                }
}

static void read_user(int proc_fd, const char *pid, User *user) {
        char path[64], cgroup[4096];
        struct stat st;

        *user = (User){ .pid = (int32_t)strtol(pid, NULL, 10), .uid = UNKNOWN_U32 };

        (void)snprintf(path, sizeof(path), "%.20s", pid);
        if (fstatat(proc_fd, path, &st, 0) >= 0)
                user->uid = st.st_uid;

        (void)snprintf(path, sizeof(path), "%.20s/comm", pid);
        attribute_read_text(proc_fd, path, user->comm, sizeof(user->comm));

        (void)snprintf(path, sizeof(path), "%.20s/cgroup", pid);
        if (attribute_read(proc_fd, path, cgroup, sizeof(cgroup)) > 0)
                parse_unit(cgroup, user->unit, sizeof(user->unit));
        read_vm(proc_fd, pid, user);
}

static int find_holders(const Host *host, const Nodes *nodes, User **ret_users, size_t *ret_n_users) {
        _cleanup_(dir_closep) DIR *dir = NULL;
        _cleanup_(freep) User *users = NULL;
        struct dirent *entry;
        size_t n = 0;
        int r;

        users = calloc(REPORT_USERS_MAX, sizeof(User));
        if (!users)
                return -ENOMEM;

        r = directory_list(host->proc_fd, ".", &dir);
        if (r < 0)
                return r;

        while (n < REPORT_USERS_MAX && (entry = directory_next(dir)))
                if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' &&
                    process_holds(host->proc_fd, entry->d_name, nodes))
                        read_user(host->proc_fd, entry->d_name, &users[n++]);

        *ret_users = TAKE(users);
        *ret_n_users = n;
        return 0;
}

int users_find(const Host *host, const char *device, int32_t iommu_group, User **ret_users, size_t *ret_n_users) {
        Nodes nodes;

        find_nodes(host, device, iommu_group, &nodes);
        return find_holders(host, &nodes, ret_users, ret_n_users);
}

int users_find_nodes(const Host *host, const UsersNode *paths, size_t n_paths, User **ret_users, size_t *ret_n_users) {
        Nodes nodes = {};

        for (size_t i = 0; i < n_paths; i++)
                add_node(host, paths[i].path, &nodes);
        return find_holders(host, &nodes, ret_users, ret_n_users);
}

void users_describe(const User *users, size_t n_users, char *buffer, size_t size) {
        size_t n = 0;

        buffer[0] = '\0';
        for (size_t i = 0; i < n_users; i++) {
                const User *u = &users[i];
                int k;

                k = snprintf(buffer + n, size - n, "%sprocess %i (%s%s%s, uid %u%s%s)", n > 0 ? ", " : "", u->pid,
                             u->comm, u->vm[0] != '\0' ? " of VM " : "", u->vm, u->uid, u->unit[0] != '\0' ? ", " : "",
                             u->unit);
                if (k < 0 || (size_t)k >= size - n) {
                        buffer[n] = '\0';
                        return;
                }
                n += (size_t)k;
        }
}
