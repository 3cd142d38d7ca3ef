/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <sys/socket.h>

#include "nvidia-stand.h"
#include "util/file.h"

#include <glib.h>
#include <glib/gstdio.h>

/* An open node is one end of a socket pair: when the other end hangs up, it was closed. */
typedef struct Node {
        int theirs, ours;
        unsigned file;
} Node;

static NvidiaModel *model;
static Node nodes[MODEL_FILES];
static unsigned n_nodes;

static void close_node(unsigned i) {
        nvidia_model_close(model, nodes[i].file);
        fd_close(nodes[i].ours);
        nodes[i] = nodes[--n_nodes];
}

static void notice_closed(void) {
        for (unsigned i = n_nodes; i > 0; i--) {
                struct pollfd p = { .fd = nodes[i - 1].ours };

                if (poll(&p, 1, 0) > 0)
                        close_node(i - 1);
        }
}

void nvidia_stand_use(NvidiaModel *m) {
        if (model) {
                notice_closed();
                g_assert_cmpuint(n_nodes, ==, 0);
        }
        model = m;
}

unsigned nvidia_stand_count_open(void) {
        notice_closed();
        return n_nodes;
}

int nvidia_stand_open_node(const Host *host, const char *path, int flags) {
        int fds[2], file;

        if (!model || strncmp(path, "nvidia", strlen("nvidia")) != 0)
                return -ENOENT;

        notice_closed();
        file = nvidia_model_open(model, path);
        if (file < 0)
                return file;

        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
        nodes[n_nodes++] = (Node){ .theirs = fds[0], .ours = fds[1], .file = (unsigned)file };
        return fds[0];
}

/* As long as there is something to fetch the node polls readable. */
static void set_readable(const Node *node, bool readable) {
        char c = 0;

        if (readable)
                g_assert_cmpint(send(node->ours, &c, 1, MSG_DONTWAIT), ==, 1);
        else
                while (recv(node->theirs, &c, 1, MSG_DONTWAIT) == 1)
                        ;
}

void nvidia_stand_notified(NvidiaModel *m, unsigned file) {
        notice_closed();
        for (unsigned i = 0; i < n_nodes; i++)
                if (nodes[i].file == file)
                        set_readable(&nodes[i], true);
}

int nvidia_stand_ioctl(const Host *host, int fd, unsigned long request, void *argument) {
        uint64_t pointer;
        size_t size;
        int r;

        notice_closed();
        for (unsigned i = 0; i < n_nodes; i++)
                if (nodes[i].theirs == fd) {
                        size = nvidia_model_second(request, argument, &pointer);
                        r = nvidia_model_ioctl(model, nodes[i].file, request, argument,
                                               size > 0 ? (uint8_t *)(uintptr_t)pointer : NULL);
                        if (model->files[nodes[i].file].n_pending == 0 && !model->mute_events)
                                set_readable(&nodes[i], false);
                        return r;
                }

        return -ENOTTY;
}

static int store(const Host *host, int dir_fd, const char *path, const char *text) {
        return attribute_write(dir_fd, path, text);
}

static const HostOps stand_ops = {
        .store = store,
        .open_node = nvidia_stand_open_node,
        .ioctl = nvidia_stand_ioctl,
};

void nvidia_stand_write(NvidiaStand *stand, const char *path, const char *text) {
        g_autofree char *whole = g_build_filename(stand->root, path, NULL), *folder = g_path_get_dirname(whole);

        if (!text) {
                (void)g_unlink(whole);
                return;
        }
        g_assert_cmpint(g_mkdir_with_parents(folder, 0700), ==, 0);
        g_assert_true(g_file_set_contents(whole, text, -1, NULL));
}

static int open_below(NvidiaStand *stand, const char *name) {
        g_autofree char *path = g_build_filename(stand->root, name, NULL);
        int fd = directory_open(AT_FDCWD, path);

        g_assert_cmpint(fd, >=, 0);
        return fd;
}

NvidiaStand *nvidia_stand_new(const char *version) {
        NvidiaStand *stand = g_new0(NvidiaStand, 1);
        g_autofree char *text = g_strdup_printf("%s\n", version), *link = NULL;

        g_assert_true(nvidia_model_init(&stand->model, version));
        stand->model.notified = nvidia_stand_notified;
        stand->gpu = nvidia_model_plug(&stand->model, 0, 0x41, 0, STAND_MINOR);
        stand->root = g_dir_make_tmp("mdevgpu-XXXXXX", NULL);
        g_assert_nonnull(stand->root);

        nvidia_stand_write(stand, "sys/module/nvidia/version", text);
        nvidia_stand_write(stand, "sys/bus/pci/devices/" STAND_GPU "/vendor", "0x10de\n");
        nvidia_stand_write(stand, "sys/bus/pci/devices/" STAND_GPU "/class", "0x030200\n");
        nvidia_stand_write(stand, "sys/bus/pci/devices/" STAND_GPU "/device", "0x20b0\n");
        nvidia_stand_write(stand, "sys/bus/pci/devices/" STAND_GPU "/subsystem_device", "0x145f\n");
        nvidia_stand_write(stand, "sys/bus/pci/drivers/nvidia/bind", "");
        nvidia_stand_write(stand, "dev/nvidiactl", "");
        nvidia_stand_write(stand, "proc/driver/nvidia/gpus/" STAND_GPU "/information",
                           "Model: \t\t NVIDIA Model GPU\nIRQ:   \t\t 16\nDevice Minor: \t 3\nGPU Excluded:\t No\n");
        link = g_build_filename(stand->root, "sys/bus/pci/devices/" STAND_GPU "/driver", NULL);
        g_assert_cmpint(symlink("../../drivers/nvidia", link), ==, 0);

        stand->host = (Host){
                .ops = &stand_ops,
                .userdata = stand,
                .sys_fd = open_below(stand, "sys"),
                .dev_fd = open_below(stand, "dev"),
                .proc_fd = open_below(stand, "proc"),
        };
        nvidia_stand_use(&stand->model);
        return stand;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw) {
        return remove(path);
}

void nvidia_stand_free(NvidiaStand *stand) {
        nvidia_stand_use(NULL);
        host_close(&stand->host);
        g_assert_cmpint(nftw(stand->root, remove_one, 16, FTW_DEPTH | FTW_PHYS), ==, 0);
        g_free(stand->root);
        g_free(stand);
}
