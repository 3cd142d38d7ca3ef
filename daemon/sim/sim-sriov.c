/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Virtual functions of the simulated machine's cards, with the answers of kernel 6.12's PCI core (drivers/pci/iov.c) and,
 * below the folders of their drivers, of NVIDIA's vendor-specific VFIO (vendor-documented, 580) and Intel xe (kernel 7.0,
 * Documentation/ABI/testing/sysfs-driver-intel-xe-sriov).
 */

#include "sim/sim-internal.h"
#include "util/file.h"
#include "util/text.h"

/* As many as fit into the one slot that they are put in. */
#define VFS_MAX 8U

/* What NVIDIA's types take of the card's capacity. */
static const struct {
        unsigned id, cost;
        const char *name;
} nvidia_types[] = { { 1145, 1, "NVIDIA L40S-1B" }, { 1146, 2, "NVIDIA L40S-2B" } };

static void vf_address(const SimGpu *gpu, unsigned i, char *buffer, size_t size) {
        (void)snprintf(buffer, size, "%.8s01.%u", gpu->address, i);
}

static unsigned count_possible(const SimGpu *gpu) {
        return gpu->kind == SIM_GPU_NVIDIA_VFIO ? VFS_MAX : (unsigned)MIN(gpu->capacity, (uint64_t)VFS_MAX);
}

static unsigned read_number(const SimHost *sim, const char *address, const char *attribute) {
        char path[256];
        uint64_t v = 0;

        (void)snprintf(path, sizeof(path), "sys/bus/pci/devices/%.63s/%s", address, attribute);
        (void)attribute_read_number(sim->root_fd, path, UINT32_MAX, &v);
        return (unsigned)v;
}

static unsigned nvidia_cost(unsigned id) {
        for (size_t i = 0; i < ELEMENTSOF(nvidia_types); i++)
                if (nvidia_types[i].id == id)
                        return nvidia_types[i].cost;

        return 0;
}

static unsigned nvidia_left(const SimHost *sim, const SimGpu *gpu) {
        unsigned used = 0;

        for (unsigned i = 0; i < VFS_MAX; i++) {
                char vf[64];

                vf_address(gpu, i, vf, sizeof(vf));
                used += nvidia_cost(read_number(sim, vf, "nvidia/current_vgpu_type"));
        }

        return used < gpu->capacity ? (unsigned)gpu->capacity - used : 0;
}

bool sim_nvidia_is_divided(const SimHost *sim, const SimGpu *gpu) {
        return nvidia_left(sim, gpu) < gpu->capacity;
}

/* The lists of its siblings shrink with each that is made; a function that has one lists nothing more. */
static void nvidia_recount(const SimHost *sim, const SimGpu *gpu) {
        unsigned left = nvidia_left(sim, gpu);

        for (unsigned i = 0; i < VFS_MAX; i++) {
                char vf[64], text[256];
                size_t n;

                vf_address(gpu, i, vf, sizeof(vf));
                if (!sim_exists(sim, "sys/bus/pci/devices/%s/nvidia", vf))
                        continue;
                n = (size_t)snprintf(text, sizeof(text), "ID    : vGPU Name\n");
                for (size_t k = 0; k < ELEMENTSOF(nvidia_types); k++)
                        if (read_number(sim, vf, "nvidia/current_vgpu_type") == 0 && nvidia_types[k].cost <= left)
                                n += (size_t)snprintf(text + n, sizeof(text) - n, "%-6u: %s\n", nvidia_types[k].id,
                                                      nvidia_types[k].name);
                (void)sim_write(sim, text, 0444, "sys/bus/pci/devices/%s/nvidia/creatable_vgpu_types", vf);
        }
}

static int nvidia_add(const SimHost *sim, const char *vf) {
        static const struct {
                const char *name, *value;
                unsigned mode;
        } attributes[] = {
                { "current_vgpu_type", "0\n", 0644 },
                { "vgpu_params", "\n", 0644 },
                { "placement_id", "0\n", 0644 },
        };
        int r;

        r = sim_mkdir(sim, "sys/bus/pci/devices/%s/nvidia", vf);
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(attributes); i++)
                r = sim_write(sim, attributes[i].value, attributes[i].mode, "sys/bus/pci/devices/%s/nvidia/%s", vf,
                              attributes[i].name);
        return r;
}

static int nvidia_set_type(SimHost *sim, const SimGpu *gpu, const char *vf, const char *text) {
        unsigned now = read_number(sim, vf, "nvidia/current_vgpu_type"), id, group;
        char value[32], path[128], name[32];

        if (sscanf(text, "%u", &id) != 1)
                return -EINVAL;
        (void)snprintf(path, sizeof(path), "sys/bus/pci/devices/%.63s/iommu_group", vf);
        if (link_read_basename(sim->root_fd, path, name, sizeof(name)) < 0 || sscanf(name, "%u", &group) != 1)
                return -EIO;
        if (id != 0 && (now != 0 || nvidia_cost(id) == 0 || nvidia_cost(id) > nvidia_left(sim, gpu)))
                return -EINVAL;
        if (id == 0 && sim_group_is_held(sim, group))
                return -EBUSY;

        (void)snprintf(value, sizeof(value), "%u\n", id);
        (void)sim_write(sim, value, 0644, "sys/bus/pci/devices/%.63s/nvidia/current_vgpu_type", vf);
        if (id != 0)
                (void)sim_write(sim, "", 0600, "dev/vfio/%u", group);
        else
                sim_remove_tree(sim, "dev/vfio/%u", group);
        nvidia_recount(sim, gpu);
        return 0;
}

static int xe_add(const SimHost *sim, const SimGpu *gpu, const char *name) {
        static const char *const attributes[][2] = {
                { "exec_quantum_ms", "0\n" },
                { "preempt_timeout_us", "0\n" },
                { "sched_priority", "[low] normal high\n" },
                { "vram_quota", "0\n" },
        };
        int r;

        r = sim_mkdir(sim, "sys/bus/pci/devices/%s/sriov_admin/%s/profile", gpu->address, name);
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(attributes); i++)
                r = sim_write(sim, attributes[i][1], 0644, "sys/bus/pci/devices/%s/sriov_admin/%s/profile/%s",
                              gpu->address, name, attributes[i][0]);
        return r;
}

static int xe_set_priority(const SimHost *sim, const char *folder, const char *text) {
        static const char *const words[] = { "low", "normal", "high" };
        char line[64];
        size_t n = 0;
        bool known = false;

        for (size_t i = 0; i < ELEMENTSOF(words); i++) {
                bool meant = streq(text, words[i]);

                known = known || meant;
                n += (size_t)snprintf(line + n, sizeof(line) - n, "%s%s%s%s", i > 0 ? " " : "", meant ? "[" : "",
                                      words[i], meant ? "]" : "");
        }

        return known ? sim_write(sim, line, 0644, "sys/%s/sched_priority", folder) : -EINVAL;
}

static int xe_set(const SimHost *sim, const char *folder, const char *attribute, const char *text) {
        unsigned long v;
        char *end;

        if (!sim_exists(sim, "sys/%s/%s", folder, attribute))
                return -ENOENT;
        errno = 0;
        v = strtoul(text, &end, 0);
        if (streq(attribute, "sched_priority"))
                return xe_set_priority(sim, folder, text);
        if (errno != 0 || end == text || (*end != '\0' && *end != '\n') || v > UINT64_C(1) << 40)
                return -EINVAL;

        return sim_write(sim, text, 0644, "sys/%s/%s", folder, attribute);
}

/* What is written there is written to all functions. */
static int xe_add_bulk(const SimHost *sim, const SimGpu *gpu) {
        static const char *const names[] = { "exec_quantum_ms", "preempt_timeout_us", "sched_priority", "vram_quota" };
        int r;

        r = sim_mkdir(sim, "sys/bus/pci/devices/%s/sriov_admin/.bulk_profile", gpu->address);
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(names); i++)
                r = sim_write(sim, "", 0200, "sys/bus/pci/devices/%s/sriov_admin/.bulk_profile/%s", gpu->address,
                              names[i]);
        return r;
}

static int xe_set_all(const SimHost *sim, const SimGpu *gpu, const char *attribute, const char *text) {
        int r = 0;

        for (unsigned i = 1; r >= 0 && i <= count_possible(gpu); i++) {
                char path[256];

                (void)snprintf(path, sizeof(path), "bus/pci/devices/%s/sriov_admin/vf%u/profile", gpu->address, i);
                r = xe_set(sim, path, attribute, text);
        }
        return r;
}

static int mdev_add(const SimHost *sim, const char *vf) {
        SimGpu parent = { .kind = SIM_GPU_MDEV_VF, .capacity = 1, .n_types = 1 };
        int r;

        (void)text_copy(parent.address, sizeof(parent.address), vf);
        parent.types[0] = (struct mdevgpu_type){ .id = 471, .framebuffer = 1, .max_instances = 1 };
        (void)text_copy(parent.types[0].name, sizeof(parent.types[0].name), "GRID A100-10C");
        r = sim_gpu_store(sim, &parent);
        return r < 0 ? r : sim_parent_register(sim, &parent);
}

static void mdev_remove(const SimHost *sim, const char *vf) {
        SimGpu parent;

        if (sim_gpu_load(sim, vf, &parent) < 0)
                return;

        sim_mdev_drop(sim, &parent);
        sim_parent_unregister(sim, &parent);
        sim_remove_tree(sim, "kernel/vgpus/%s", vf);
        sim_remove_tree(sim, "kernel/gpus/%s", vf);
}

static int add_vf(const SimHost *sim, const SimGpu *gpu, unsigned i) {
        /* Their drivers would have them, if they were offered any (drivers/pci/pci-driver.c, pci_device_can_probe()). */
        bool probe = read_number(sim, gpu->address, "sriov_drivers_autoprobe") != 0 && gpu->kind != SIM_GPU_GIM;
        char vf[64], target[128];
        int r;

        vf_address(gpu, i, vf, sizeof(vf));
        r = sim_pci_add_function(sim, vf, gpu->address, "0x030000\n", probe ? sim_gpu_driver(gpu) : "",
                                 sim_next_group(sim));
        (void)snprintf(target, sizeof(target), "sys/bus/pci/devices/%s", vf);
        if (r >= 0)
                r = sim_symlink(sim, target, "sys/devices/pci%.4s:00/%s/virtfn%u", gpu->address, gpu->address, i);
        if (r >= 0 && gpu->kind == SIM_GPU_NVIDIA_VFIO)
                r = nvidia_add(sim, vf);
        if (r >= 0 && gpu->kind == SIM_GPU_NVIDIA_MDEV)
                r = mdev_add(sim, vf);
        return r;
}

static void remove_vfs(const SimHost *sim, const SimGpu *gpu) {
        for (unsigned i = 0; i < VFS_MAX; i++) {
                char vf[64];

                vf_address(gpu, i, vf, sizeof(vf));
                if (!sim_exists(sim, "sys/bus/pci/devices/%s", vf))
                        continue;
                mdev_remove(sim, vf);
                sim_remove_tree(sim, "sys/devices/pci%.4s:00/%s/virtfn%u", gpu->address, gpu->address, i);
                sim_pci_remove_function(sim, vf);
        }
}

/* So many, where there are none; or none. */
static int make_vfs(const SimHost *sim, const SimGpu *gpu, unsigned n) {
        char value[32], path[256];
        int r = 0;

        if (n == 0)
                remove_vfs(sim, gpu);
        for (unsigned i = 0; r >= 0 && i < n; i++)
                r = add_vf(sim, gpu, i);
        if (r < 0)
                return r;

        (void)snprintf(value, sizeof(value), "%u\n", n);
        r = sim_write(sim, value, 0644, "sys/bus/pci/devices/%s/sriov_numvfs", gpu->address);
        if (gpu->kind == SIM_GPU_NVIDIA_VFIO) {
                sim_nvidia_forget(sim, gpu);
                nvidia_recount(sim, gpu);
        }
        (void)snprintf(path, sizeof(path), "devices/pci%.4s:00/%s", gpu->address, gpu->address);
        sim_emit(sim, UEVENT_CHANGE, UEVENT_PCI, path);
        return r;
}

int sim_sriov_plug(const SimHost *sim, const SimGpu *gpu) {
        unsigned n = count_possible(gpu);
        char text[32], name[32];
        int r;

        (void)snprintf(text, sizeof(text), "%u\n", n);
        r = sim_write(sim, text, 0444, "sys/bus/pci/devices/%s/sriov_totalvfs", gpu->address);
        if (r >= 0)
                r = sim_write(sim, "0\n", 0644, "sys/bus/pci/devices/%s/sriov_numvfs", gpu->address);
        if (r >= 0)
                r = sim_write(sim, "1\n", 0644, "sys/bus/pci/devices/%s/sriov_drivers_autoprobe", gpu->address);
        if (r >= 0) /* as vf_address() has them */
                r = sim_write(sim, "8\n", 0444, "sys/bus/pci/devices/%s/sriov_offset", gpu->address);
        if (r >= 0)
                r = sim_write(sim, "1\n", 0444, "sys/bus/pci/devices/%s/sriov_stride", gpu->address);
        if (r >= 0 && gpu->kind == SIM_GPU_NVIDIA_VFIO)
                r = sim_nvidia_plug(sim, gpu);
        if (r >= 0 && gpu->kind == SIM_GPU_GIM)
                r = make_vfs(sim, gpu, n);
        if (r < 0 || gpu->kind != SIM_GPU_XE)
                return r;

        r = xe_add(sim, gpu, "pf");
        if (r >= 0)
                r = xe_add_bulk(sim, gpu);
        for (unsigned i = 1; r >= 0 && i <= n; i++) {
                (void)snprintf(name, sizeof(name), "vf%u", i);
                r = xe_add(sim, gpu, name);
        }
        return r;
}

void sim_sriov_unplug(const SimHost *sim, const SimGpu *gpu) {
        remove_vfs(sim, gpu);
}

/* As drivers do in their remove() (kernel 6.12, pci_disable_sriov()). */
void sim_sriov_unbound(const SimHost *sim, const char *address) {
        SimGpu gpu;

        if (!sim_exists(sim, "sys/bus/pci/devices/%s/sriov_numvfs", address) || sim_gpu_load(sim, address, &gpu) < 0)
                return;

        remove_vfs(sim, &gpu);
        (void)sim_write(sim, "0\n", 0644, "sys/bus/pci/devices/%s/sriov_numvfs", address);
}

int sim_sriov_bound(const SimHost *sim, const char *address) {
        char driver[64], path[128];
        SimGpu gpu;

        (void)snprintf(path, sizeof(path), "sys/bus/pci/devices/%.63s/driver", address);
        if (link_read_basename(sim->root_fd, path, driver, sizeof(driver)) < 0 || !streq(driver, "gim") ||
            sim_gpu_load(sim, address, &gpu) < 0)
                return 0;

        return make_vfs(sim, &gpu, count_possible(&gpu));
}

static int set_numvfs(const SimHost *sim, const SimGpu *gpu, const char *text) {
        unsigned now = read_number(sim, gpu->address, "sriov_numvfs"), n;

        if (sscanf(text, "%u", &n) != 1)
                return -EINVAL;
        if (n > count_possible(gpu))
                return -ERANGE;
        if (!sim_exists(sim, "sys/bus/pci/devices/%s/driver", gpu->address) || gpu->kind == SIM_GPU_GIM)
                return -ENOENT;
        if (n == now)
                return 0;
        if (n > 0 && now > 0)
                return -EBUSY;

        return make_vfs(sim, gpu, n);
}

/* It leaves that to its own program (reported). */
static bool is_nvidia(const SimGpu *gpu) {
        return gpu->kind == SIM_GPU_NVIDIA_VFIO || gpu->kind == SIM_GPU_NVIDIA_MDEV;
}

static int set_autoprobe(const SimHost *sim, const SimGpu *gpu, const char *text) {
        if (!streq(text, "0") && !streq(text, "1"))
                return -EINVAL;

        return sim_write(sim, text, 0644, "sys/bus/pci/devices/%s/sriov_drivers_autoprobe", gpu->address);
}

/* The card whose function the folder belongs to. */
static int load_owner(const SimHost *sim, const char *folder, SimGpu *ret_gpu, char *ret_device, size_t size) {
        const char *device = strchr(folder, ':');
        char card[64];

        device = device ? strchr(device, '/') : NULL;
        if (!device)
                return -ENOTTY;
        (void)snprintf(ret_device, size, "%.*s", (int)strcspn(device + 1, "/"), device + 1);
        if (sim_gpu_load(sim, ret_device, ret_gpu) >= 0)
                return 0;

        (void)snprintf(card, sizeof(card), "%.8s00.0", ret_device);
        return sim_gpu_load(sim, card, ret_gpu) >= 0 ? 0 : -ENOTTY;
}

int sim_sriov_store(SimHost *sim, const char *folder, const char *attribute, const char *text) {
        _cleanup_(fd_closep) int lock = -EBADF;
        char device[64];
        SimGpu gpu;

        if (load_owner(sim, folder, &gpu, device, sizeof(device)) < 0 || !sim_kind_is_card(gpu.kind))
                return -ENOTTY;

        lock = sim_lock(sim);
        if (lock < 0)
                return lock;
        if (streq(attribute, "sriov_numvfs"))
                return is_nvidia(&gpu) ? -EPERM : set_numvfs(sim, &gpu, text);
        if (streq(attribute, "current_vgpu_type"))
                return nvidia_set_type(sim, &gpu, device, text);
        if (streq(attribute, "vgpu_params") || streq(attribute, "placement_id"))
                return sim_exists(sim, "sys/%s/%s", folder, attribute)
                               ? sim_write(sim, text, 0644, "sys/%s/%s", folder, attribute)
                               : -ENOENT;
        if (strstr(folder, "/sriov_admin/.bulk_profile"))
                return xe_set_all(sim, &gpu, attribute, text);
        if (strstr(folder, "/sriov_admin/"))
                return xe_set(sim, folder, attribute, text);

        if (streq(attribute, "sriov_drivers_autoprobe"))
                return set_autoprobe(sim, &gpu, text);

        return -ENOTTY;
}

/* It takes the card from its driver and gives it back, and says that it has succeeded in any case (reported). */
int sim_run(const Host *host, const char *const *command) {
        SimHost *sim = host->userdata;
        _cleanup_(fd_closep) int lock = -EBADF;
        SimGpu gpu;
        char n[16];

        if (!streq(command[0], "/usr/lib/nvidia/sriov-manage"))
                return -ENOENT;
        lock = sim_lock(sim);
        if (lock < 0 || sim_gpu_load(sim, command[2], &gpu) < 0 || !is_nvidia(&gpu))
                return 0;

        (void)snprintf(n, sizeof(n), "%u", streq(command[1], "-e") ? count_possible(&gpu) : 0);
        (void)(sim_pci_rebind(sim, gpu.address) < 0 || set_numvfs(sim, &gpu, n) < 0);
        return 0;
}
