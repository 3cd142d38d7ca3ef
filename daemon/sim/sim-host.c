/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "sim/sim-internal.h"
#include "util/file.h"
#include "util/text.h"

static SimHost *sim_from(const Host *host) {
        return host->userdata;
}

/* The folder of an attribute as it really lies below ROOT/sys, links followed, and the attribute's name. */
static int resolve(const SimHost *sim, int dir_fd, const char *path, char ret_folder[static PATH_MAX],
                   char ret_name[static NAME_MAX + 1]) {
        char link[PATH_MAX], real[PATH_MAX], prefix[300];
        const char *slash = strrchr(path, '/');
        int k;

        k = snprintf(link, sizeof(link), "/proc/self/fd/%i/%.*s", dir_fd, slash ? (int)(slash - path) : 0, path);
        if (k < 0 || (size_t)k >= sizeof(link) || !text_copy(ret_name, NAME_MAX + 1, slash ? slash + 1 : path))
                return -ENAMETOOLONG;
        if (!realpath(link, real))
                return negative_errno();

        (void)snprintf(prefix, sizeof(prefix), "%s/sys/", sim->root);
        if (strncmp(real, prefix, strlen(prefix)) != 0)
                return -EACCES;

        (void)text_copy(ret_folder, PATH_MAX, real + strlen(prefix));
        return 0;
}

/* The n-th component from the end of a path, 0 being the last; empty if there is none. */
static void path_component(const char *path, unsigned n, char *buffer, size_t size) {
        const char *end = path + strlen(path), *begin;

        for (;; n--) {
                for (begin = end; begin > path && begin[-1] != '/'; begin--)
                        ;
                if (n == 0 || begin == path)
                        break;
                end = begin - 1;
        }

        (void)snprintf(buffer, size, "%.*s", n == 0 ? (int)(end - begin) : 0, begin);
}

static int store(const Host *host, int dir_fd, const char *path, const char *text) {
        SimHost *sim = sim_from(host);
        char folder[PATH_MAX], attribute[NAME_MAX + 1], type[256], types[256], parent[256];
        int r;

        r = resolve(sim, dir_fd, path, folder, attribute);
        if (r < 0)
                return r;

        path_component(folder, 0, type, sizeof(type));
        path_component(folder, 1, types, sizeof(types));
        path_component(folder, 2, parent, sizeof(parent));
        if (streq(attribute, "create") && streq(types, "mdev_supported_types"))
                return sim_mdev_create(sim, parent, type, text);
        if (streq(attribute, "remove"))
                return sim_mdev_remove(sim, type, text);

        r = sim_pci_store(sim, folder, attribute, text);
        if (r == -ENOTTY)
                r = sim_sriov_store(sim, folder, attribute, text);
        return r == -ENOTTY ? sim_mdev_configure(sim, folder, attribute, text) : r;
}

/* What the kernel does for a process that is killed it brings to an end; here the process does it itself. */
static int sim_store(const Host *host, int dir_fd, const char *path, const char *text) {
        pid_t parent = getppid();
        int signal = 0, r;

        (void)prctl(PR_GET_PDEATHSIG, &signal);
        (void)prctl(PR_SET_PDEATHSIG, 0);
        r = store(host, dir_fd, path, text);
        (void)prctl(PR_SET_PDEATHSIG, signal);
        if (signal > 0 && getppid() != parent)
                (void)raise(signal);

        return r;
}

static int sim_open_node(const Host *host, const char *path, int flags) {
        _cleanup_(fd_closep) int fd = -EBADF;

        if (strncmp(path, "vfio/", 5) == 0)
                return sim_vfio_open(sim_from(host), path, flags);
        fd = openat(host->dev_fd, path, flags | O_CLOEXEC);
        if (fd < 0)
                return negative_errno();
        if ((flags & O_ACCMODE) != O_RDONLY && strncmp(path, "nvidia", 6) != 0 && flock(fd, LOCK_EX | LOCK_NB) < 0)
                return errno == EWOULDBLOCK ? -EBUSY : negative_errno();

        return TAKE_FD(fd);
}

static int sim_ioctl(const Host *host, int fd, unsigned long request, void *argument) {
        char link[64], target[512];
        const char *name;
        unsigned index;
        ssize_t n;

        (void)snprintf(link, sizeof(link), "/proc/self/fd/%i", fd);
        n = readlink(link, target, sizeof(target) - 1);
        if (n < 0)
                return negative_errno();
        target[n] = '\0';

        name = strrchr(target, '/');
        if (name && strncmp(name, "/nvidia", 7) == 0)
                return sim_nvidia_ioctl(sim_from(host), request, argument);
        if (!name || sscanf(name, "/gpu%u", &index) != 1)
                return sim_vfio_ioctl(sim_from(host), fd, request, argument);
        if (strstr(target, " (deleted)"))
                return -ENODEV;

        return sim_control(sim_from(host), index, (fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDONLY, request, argument);
}

static const HostOps sim_ops = {
        .store = sim_store,
        .run = sim_run,
        .open_node = sim_open_node,
        .ioctl = sim_ioctl,
        .watch_node = sim_watch_node,
        .read_node = sim_read_node,
        .read_data = sim_read_data,
        .write_data = sim_write_data,
};

static int make_machine(SimHost *sim) {
        static const char *const folders[] = {
                "content",
                "kernel/devices",
                "kernel/gpus",
                "kernel/mdevs",
                "kernel/sessions",
                "kernel/vgpus",
                "sys/bus/pci/devices",
                "sys/bus/pci/drivers/mdevgpu_ref",
                "sys/bus/mdev/devices",
                "sys/module/mdevgpu_ref",
                "dev/vfio",
                "dev/mdevgpu",
                "etc",
                "var",
                "run",
                "usr",
        };
        int r = 0;

        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(folders); i++)
                r = sim_mkdir(sim, "%s", folders[i]);
        if (r >= 0)
                r = sim_symlink(sim, "sys/module/mdevgpu_ref", "sys/bus/pci/drivers/mdevgpu_ref/module");
        if (r >= 0 && !sim_exists(sim, "dev/vfio/vfio"))
                r = sim_write(sim, "", 0666, "dev/vfio/vfio");

        return r;
}

int sim_host_open(const char *root, SimHost *ret_sim) {
        SimHost sim = { .root_fd = -EBADF };
        char path[PATH_MAX];
        int r;

        if (!realpath(root, path))
                return negative_errno();
        if (!text_copy(sim.root, sizeof(sim.root), path))
                return -ENAMETOOLONG;

        sim.host = (Host){ .ops = &sim_ops,
                           .sys_fd = -EBADF,
                           .dev_fd = -EBADF,
                           .proc_fd = -EBADF,
                           .etc_fd = -EBADF,
                           .var_fd = -EBADF,
                           .run_fd = -EBADF,
                           .usr_fd = -EBADF };
        r = sim.root_fd = directory_open(AT_FDCWD, root);
        if (r >= 0)
                r = make_machine(&sim);
        if (r >= 0)
                r = sim.host.sys_fd = directory_open(sim.root_fd, "sys");
        if (r >= 0)
                r = sim.host.dev_fd = directory_open(sim.root_fd, "dev");
        if (r >= 0)
                r = sim.host.proc_fd = directory_open(AT_FDCWD, "/proc");
        if (r >= 0)
                r = sim.host.etc_fd = directory_open(sim.root_fd, "etc");
        if (r >= 0)
                r = sim.host.var_fd = directory_open(sim.root_fd, "var");
        if (r >= 0)
                r = sim.host.run_fd = directory_open(sim.root_fd, "run");
        if (r >= 0)
                r = sim.host.usr_fd = directory_open(sim.root_fd, "usr");
        if (r < 0) {
                sim_host_close(&sim);
                return r;
        }

        *ret_sim = sim;
        ret_sim->host.userdata = ret_sim;
        return 0;
}

void sim_host_close(SimHost *sim) {
        host_close(&sim->host);
        sim->root_fd = fd_close(sim->root_fd);
}

static int write_setting(const SimHost *sim, const char *name, uint64_t value) {
        char text[32];

        (void)snprintf(text, sizeof(text), "%" PRIu64 "\n", value);
        return sim_write(sim, text, 0600, "kernel/%s", name);
}

int sim_host_set_content_size(SimHost *sim, uint64_t size) {
        return size == 0 || size > SIM_CONTENT_MAX ? -EINVAL : write_setting(sim, "content-size", size);
}

int sim_host_set_state_rate(SimHost *sim, uint64_t rate) {
        return write_setting(sim, "state-rate", rate);
}

static unsigned free_index(const SimHost *sim) {
        unsigned index = 0;

        while (sim_exists(sim, "dev/mdevgpu/gpu%u", index))
                index++;
        return index;
}

static void add_mtty_types(SimGpu *gpu) {
        static const struct {
                const char *name;
                uint32_t ports;
        } table[] = { { "Single port serial", 1 }, { "Dual port serial", 2 } };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                struct mdevgpu_type *type = &gpu->types[gpu->n_types++];

                type->id = table[i].ports;
                type->framebuffer = table[i].ports;
                type->max_instances = (uint32_t)gpu->capacity / table[i].ports;
                (void)text_copy(type->name, sizeof(type->name), table[i].name);
        }
}

static int plug_control(const SimHost *sim, SimGpu *gpu, const char *path) {
        int r;

        if (gpu->kind == SIM_GPU_NVIDIA)
                return sim_write(sim, "", 0600, "dev/nvidiactl");

        gpu->index = free_index(sim);
        r = sim_mkdir(sim, "sys/%s/mdevgpu/gpu%u", path, gpu->index);
        return r < 0 ? r : sim_write(sim, "", 0600, "dev/mdevgpu/gpu%u", gpu->index);
}

static int plug_pci(const SimHost *sim, SimGpu *gpu, const char *path) {
        static const struct {
                const char *name, *shim, *nvidia;
        } attributes[] = {
                { "class", "0x030200\n", "0x030200\n" },        { "vendor", "0x6d67\n", "0x10de\n" },
                { "device", "0x0001\n", "0x20b0\n" },           { "subsystem_vendor", "0x6d67\n", "0x10de\n" },
                { "subsystem_device", "0x0001\n", "0x145f\n" },
        };
        bool nvidia = gpu->kind == SIM_GPU_NVIDIA;
        char target[300];
        int r = 0;

        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(attributes); i++)
                r = sim_write(sim, nvidia ? attributes[i].nvidia : attributes[i].shim, 0444, "sys/%s/%s", path,
                              attributes[i].name);
        if (r >= 0)
                r = plug_control(sim, gpu, path);
        if (r >= 0)
                r = sim_mkdir(sim, "sys/bus/pci/drivers/%s", sim_gpu_driver(gpu));
        (void)snprintf(target, sizeof(target), "sys/bus/pci/drivers/%s", sim_gpu_driver(gpu));
        if (r >= 0)
                r = sim_symlink(sim, target, "sys/%s/driver", path);
        if (r >= 0)
                r = sim_symlink(sim, "sys/bus/pci", "sys/%s/subsystem", path);
        if (r < 0)
                return r;

        (void)snprintf(target, sizeof(target), "sys/%s", path);
        return sim_symlink(sim, target, "sys/bus/pci/devices/%s", gpu->address);
}

int sim_host_plug(SimHost *sim, const char *address, SimGpuKind kind, uint64_t capacity) {
        SimGpu gpu = { .kind = kind, .capacity = capacity, .generation = 1 };
        _cleanup_(fd_closep) int lock = -EBADF;
        char path[256];
        int r;

        if (!text_is_name(address) || !text_copy(gpu.address, sizeof(gpu.address), address))
                return -EINVAL;
        lock = sim_lock(sim);
        if (lock < 0)
                return lock;
        if (sim_exists(sim, "kernel/gpus/%s", address))
                return -EEXIST;

        (void)getrandom(gpu.instance_id, sizeof(gpu.instance_id), 0);
        sim_gpu_path(&gpu, path, sizeof(path));
        r = sim_mkdir(sim, "sys/%s", path);
        if (r >= 0 && kind != SIM_GPU_MTTY && !sim_kind_is_card(kind))
                r = plug_pci(sim, &gpu, path);
        if (r >= 0 && sim_kind_is_card(kind))
                r = sim_pci_plug(sim, &gpu);
        if (kind == SIM_GPU_MTTY)
                add_mtty_types(&gpu);
        if (r >= 0)
                r = sim_gpu_store(sim, &gpu);
        if (r < 0)
                return r;

        if (kind != SIM_GPU_MTTY) {
                sim_emit(sim, UEVENT_ADD, UEVENT_PCI, path);
                sim_emit(sim, UEVENT_BIND, UEVENT_PCI, path);
        }
        return sim_parent_register(sim, &gpu);
}

int sim_host_unplug(SimHost *sim, const char *address) {
        _cleanup_(fd_closep) int lock = -EBADF;
        char path[256];
        SimGpu gpu;
        int r;

        lock = sim_lock(sim);
        if (lock < 0)
                return lock;
        r = sim_gpu_load(sim, address, &gpu);
        if (r < 0)
                return r;

        sim_gpu_path(&gpu, path, sizeof(path));
        sim_mdev_drop(sim, &gpu);
        sim_parent_unregister(sim, &gpu);
        if (sim_kind_is_card(gpu.kind))
                sim_pci_unplug(sim, &gpu);
        sim_remove_tree(sim, "sys/bus/pci/devices/%s", address);
        if (gpu.kind == SIM_GPU_SHIM)
                sim_remove_tree(sim, "dev/mdevgpu/gpu%u", gpu.index);
        sim_remove_tree(sim, "sys/%s", path);
        sim_remove_tree(sim, "kernel/vgpus/%s", address);
        sim_remove_tree(sim, "kernel/gpus/%s", address);
        sim_emit(sim, UEVENT_REMOVE, gpu.kind == SIM_GPU_MTTY ? UEVENT_PARENT : UEVENT_PCI, path);
        return 0;
}
