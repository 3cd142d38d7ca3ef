/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "sim/sim-internal.h"
#include "util/file.h"
#include "util/text.h"

#define PATH_SIZE 1024U

static int _printf_(2, 0) format_path(char *buffer, const char *format, va_list ap) {
        int k = vsnprintf(buffer, PATH_SIZE, format, ap);

        return k < 0 || (size_t)k >= PATH_SIZE ? -ENAMETOOLONG : 0;
}

/* For a function whose last named argument is the format. */
#define FORMAT_PATH(buffer, format)                                                                                    \
        ({                                                                                                             \
                va_list format_path_ap_;                                                                               \
                int format_path_r_;                                                                                    \
                va_start(format_path_ap_, format);                                                                     \
                format_path_r_ = format_path(buffer, format, format_path_ap_);                                         \
                va_end(format_path_ap_);                                                                               \
                format_path_r_;                                                                                        \
        })

int sim_lock(const SimHost *sim) {
        int fd;

        fd = openat(sim->root_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0)
                return negative_errno();
        if (flock(fd, LOCK_EX) < 0) {
                int r = negative_errno();

                fd_close(fd);
                return r;
        }

        return fd;
}

int sim_gpu_load(const SimHost *sim, const char *address, SimGpu *ret_gpu) {
        _cleanup_(fd_closep) int fd = -EBADF;
        char path[PATH_SIZE];

        if (!text_is_name(address))
                return -ENODEV;

        (void)snprintf(path, sizeof(path), "kernel/gpus/%s", address);
        fd = openat(sim->root_fd, path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return errno == ENOENT ? -ENODEV : negative_errno();

        return read(fd, ret_gpu, sizeof(SimGpu)) == (ssize_t)sizeof(SimGpu) ? 0 : -EIO;
}

int sim_gpu_store(const SimHost *sim, const SimGpu *gpu) {
        _cleanup_(fd_closep) int fd = -EBADF;
        char path[PATH_SIZE];

        (void)snprintf(path, sizeof(path), "kernel/gpus/%s", gpu->address);
        fd = openat(sim->root_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (fd < 0)
                return negative_errno();

        return write(fd, gpu, sizeof(SimGpu)) == (ssize_t)sizeof(SimGpu) ? 0 : -EIO;
}

void sim_gpu_path(const SimGpu *gpu, char *buffer, size_t size) {
        if (gpu->kind == SIM_GPU_MTTY)
                (void)snprintf(buffer, size, "devices/virtual/mtty/%s", gpu->address);
        else
                (void)snprintf(buffer, size, "devices/pci%.4s:00/%s", gpu->address, gpu->address);
}

const char *sim_gpu_driver(const SimGpu *gpu) {
        static const char *const table[] = {
                [SIM_GPU_SHIM] = "mdevgpu_ref",   [SIM_GPU_MTTY] = "mtty", [SIM_GPU_PLAIN] = "simdrm",
                [SIM_GPU_SRIOV] = "simdrm",       [SIM_GPU_XE] = "xe",     [SIM_GPU_NVIDIA] = "nvidia",
                [SIM_GPU_NVIDIA_VFIO] = "nvidia", [SIM_GPU_GIM] = "gim",   [SIM_GPU_NVIDIA_MDEV] = "nvidia",
                [SIM_GPU_MDEV_VF] = "nvidia",
        };

        return table[gpu->kind];
}

int sim_write(const SimHost *sim, const char *text, unsigned mode, const char *format, ...) {
        _cleanup_(fd_closep) int fd = -EBADF;
        char path[PATH_SIZE], temporary[PATH_SIZE];
        int r;

        r = FORMAT_PATH(path, format);
        if (r < 0)
                return r;

        /* A reader sees the old value or the new one, as of a real attribute. */
        (void)snprintf(temporary, sizeof(temporary), "kernel/write.%i", (int)getpid());
        fd = openat(sim->root_fd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (fd < 0)
                return negative_errno();
        if (write(fd, text, strlen(text)) != (ssize_t)strlen(text) || fchmod(fd, mode) < 0 ||
            renameat(sim->root_fd, temporary, sim->root_fd, path) < 0)
                return negative_errno();

        return 0;
}

int sim_mkdir(const SimHost *sim, const char *format, ...) {
        char path[PATH_SIZE];
        int r;

        r = FORMAT_PATH(path, format);
        if (r < 0)
                return r;

        for (char *p = strchr(path, '/');; p = strchr(p + 1, '/')) {
                if (p)
                        *p = '\0';
                if (mkdirat(sim->root_fd, path, 0755) < 0 && errno != EEXIST)
                        return negative_errno();
                if (!p)
                        return 0;
                *p = '/';
        }
}

int sim_symlink(const SimHost *sim, const char *target, const char *format, ...) {
        char path[PATH_SIZE], relative[PATH_SIZE];
        size_t n = 0;
        int r;

        r = FORMAT_PATH(path, format);
        if (r < 0)
                return r;

        /* Relative, as sysfs' are: up to ROOT, then down. */
        for (const char *p = strchr(path, '/'); p && n + 4 < sizeof(relative); p = strchr(p + 1, '/'))
                n += (size_t)snprintf(relative + n, sizeof(relative) - n, "../");
        (void)snprintf(relative + n, sizeof(relative) - n, "%s", target);

        return symlinkat(relative, sim->root_fd, path) < 0 && errno != EEXIST ? negative_errno() : 0;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw) {
        (void)remove(path);
        return 0;
}

void sim_remove_tree(const SimHost *sim, const char *format, ...) {
        char path[PATH_SIZE], whole[PATH_SIZE + 257];
        int r;

        r = FORMAT_PATH(path, format);
        if (r < 0)
                return;

        (void)snprintf(whole, sizeof(whole), "%s/%s", sim->root, path);
        (void)nftw(whole, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

bool sim_exists(const SimHost *sim, const char *format, ...) {
        char path[PATH_SIZE];
        int r;

        r = FORMAT_PATH(path, format);

        return r >= 0 && path_exists(sim->root_fd, path);
}

static int event_address(const SimHost *sim, struct sockaddr_un *ret_address) {
        int k;

        *ret_address = (struct sockaddr_un){ .sun_family = AF_UNIX };
        k = snprintf(ret_address->sun_path, sizeof(ret_address->sun_path), "%s/uevents", sim->root);
        return k < 0 || (size_t)k >= sizeof(ret_address->sun_path) ? -ENAMETOOLONG : 0;
}

static int send_event(int fd, const struct sockaddr_un *address, const char *text) {
        ssize_t n = sendto(fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *)address,
                           sizeof(*address));

        return n < 0 ? negative_errno() : 0;
}

/*
 * "ACTION SUBSYSTEM /devices/…": as the kernel's, one datagram, lost if nobody listens. Where the listener has too many
 * waiting it is lost as well, and the listener is told that some were (netlink says ENOBUFS).
 */
void sim_emit(const SimHost *sim, UeventAction action, UeventSubsystem subsystem, const char *devpath) {
        _cleanup_(fd_closep) int fd = -EBADF;
        struct sockaddr_un address;
        char text[PATH_SIZE + 32];

        if (event_address(sim, &address) < 0)
                return;
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return;

        (void)snprintf(text, sizeof(text), "%i %i /%s", (int)action, (int)subsystem, devpath);
        if (send_event(fd, &address, text) != -EAGAIN)
                return;

        /* Once more behind the mark: the listener may have taken everything before it was there. */
        (void)sim_write(sim, "", 0600, "kernel/overrun");
        (void)send_event(fd, &address, text);
}

int sim_host_listen(SimHost *sim) {
        _cleanup_(fd_closep) int fd = -EBADF;
        struct sockaddr_un address;
        int r;

        r = event_address(sim, &address);
        if (r < 0)
                return r;

        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return negative_errno();
        (void)unlink(address.sun_path);
        if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
                return negative_errno();

        return TAKE_FD(fd);
}

bool sim_host_overrun(SimHost *sim) {
        return unlinkat(sim->root_fd, "kernel/overrun", 0) >= 0;
}

int sim_host_receive(int fd, char *buffer, size_t size, Uevent *ret_uevent) {
        int action, subsystem, position = 0;
        const char *slash;
        ssize_t n;

        n = recv(fd, buffer, size - 1, 0);
        if (n < 0)
                return 0;
        buffer[n] = '\0';

        if (sscanf(buffer, "%i %i %n", &action, &subsystem, &position) != 2 || position == 0)
                return 0;
        slash = strrchr(buffer + position, '/');
        if (!slash)
                return 0;

        *ret_uevent = (Uevent){
                .action = (UeventAction)action,
                .subsystem = (UeventSubsystem)subsystem,
                .name = slash + 1,
                .devpath = buffer + position,
        };
        return 1;
}
