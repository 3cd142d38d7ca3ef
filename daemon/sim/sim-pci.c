/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * PCI cards of the simulated machine that are behind an IOMMU: their functions, and how these go from driver to driver,
 * as kernel 6.12 does it (drivers/base/bus.c, drivers/pci/pci-driver.c).
 */

#include <unistd.h>

#include "sim/sim-internal.h"
#include "util/file.h"
#include "util/text.h"

#define HELD_POLL_USEC 20000

bool sim_kind_is_card(SimGpuKind kind) {
        return kind != SIM_GPU_SHIM && kind != SIM_GPU_MTTY && kind != SIM_GPU_NVIDIA;
}

static void device_path(const char *address, char *buffer, size_t size) {
        (void)snprintf(buffer, size, "devices/pci%.4s:00/%.63s", address, address);
}

static bool read_link(const SimHost *sim, const char *address, const char *name, char *buffer, size_t size) {
        char path[256];

        (void)snprintf(path, sizeof(path), "sys/bus/pci/devices/%.63s/%s", address, name);
        return link_read_basename(sim->root_fd, path, buffer, size) >= 0;
}

static unsigned read_group(const SimHost *sim, const char *address) {
        char group[32];

        return read_link(sim, address, "iommu_group", group, sizeof(group)) ? (unsigned)strtoul(group, NULL, 10) : 0;
}

static bool driver_is_vfio(const char *driver) {
        return streq(driver, "vfio-pci") || streq(driver, "xe-vfio-pci");
}

bool sim_pci_group_is_viable(const SimHost *sim, unsigned group) {
        _cleanup_(dir_closep) DIR *dir = NULL;
        struct dirent *entry;
        bool viable = true;
        char path[64];

        (void)snprintf(path, sizeof(path), "sys/kernel/iommu_groups/%u/devices", group);
        if (directory_list(sim->root_fd, path, &dir) < 0)
                return false;

        while ((entry = directory_next(dir))) {
                char driver[64];

                if (read_link(sim, entry->d_name, "driver", driver, sizeof(driver)))
                        viable = viable && driver_is_vfio(driver);
        }

        return viable;
}

/* The VFIO group has a node as long as one of its devices is vfio's. */
static void update_node(const SimHost *sim, unsigned group) {
        _cleanup_(dir_closep) DIR *dir = NULL;
        struct dirent *entry;
        bool vfio = false;
        char path[64];

        (void)snprintf(path, sizeof(path), "sys/kernel/iommu_groups/%u/devices", group);
        if (directory_list(sim->root_fd, path, &dir) >= 0)
                while ((entry = directory_next(dir))) {
                        char driver[64];

                        vfio = vfio || (read_link(sim, entry->d_name, "driver", driver, sizeof(driver)) &&
                                        driver_is_vfio(driver));
                }

        if (!vfio)
                sim_remove_tree(sim, "dev/vfio/%u", group);
        else if (!sim_exists(sim, "dev/vfio/%u", group))
                (void)sim_write(sim, "", 0600, "dev/vfio/%u", group);
}

static int bind_driver(const SimHost *sim, const char *address, const char *driver) {
        char path[256], target[128];
        int r;

        device_path(address, path, sizeof(path));
        r = sim_mkdir(sim, "sys/bus/pci/drivers/%s", driver);
        if (r >= 0)
                r = sim_write(sim, "", 0200, "sys/bus/pci/drivers/%s/bind", driver);
        if (r >= 0)
                r = sim_write(sim, "", 0200, "sys/bus/pci/drivers/%s/unbind", driver);
        (void)snprintf(target, sizeof(target), "sys/bus/pci/drivers/%s", driver);
        if (r >= 0)
                r = sim_symlink(sim, target, "sys/%s/driver", path);
        if (r < 0)
                return r;

        update_node(sim, read_group(sim, address));
        sim_emit(sim, UEVENT_BIND, UEVENT_PCI, path);
        return 0;
}

/* physfn: the card whose virtual function it is; NULL: it is none. Announced before it says so, as the kernel does. */
int sim_pci_add_function(const SimHost *sim, const char *address, const char *physfn, const char *class,
                         const char *driver, unsigned group) {
        const struct {
                const char *name, *value;
                unsigned mode;
        } attributes[] = {
                { "class", class, 0444 },
                { "vendor", "0x6d67\n", 0444 },
                { "device", "0x0002\n", 0444 },
                { "subsystem_vendor", "0x6d67\n", 0444 },
                { "subsystem_device", "0x0002\n", 0444 },
                { "driver_override", "(null)\n", 0644 },
                { "reset_method", "flr bus\n", 0644 },
                { "native", driver, 0444 }, /* the driver that takes it by itself; the kernel has its tables for that */
        };
        char path[256], target[300];
        int r;

        device_path(address, path, sizeof(path));
        r = sim_mkdir(sim, "sys/%s", path);
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(attributes); i++)
                r = sim_write(sim, attributes[i].value, attributes[i].mode, "sys/%s/%s", path, attributes[i].name);
        if (r >= 0)
                r = sim_mkdir(sim, "sys/kernel/iommu_groups/%u/devices/%s", group, address);
        (void)snprintf(target, sizeof(target), "sys/kernel/iommu_groups/%u", group);
        if (r >= 0)
                r = sim_symlink(sim, target, "sys/%s/iommu_group", path);
        (void)snprintf(target, sizeof(target), "sys/%s", path);
        if (r >= 0)
                r = sim_symlink(sim, target, "sys/bus/pci/devices/%s", address);
        sim_emit(sim, UEVENT_ADD, UEVENT_PCI, path);
        if (r >= 0 && physfn) {
                (void)snprintf(target, sizeof(target), "sys/bus/pci/devices/%s", physfn);
                r = sim_symlink(sim, target, "sys/%s/physfn", path);
                sim_emit(sim, UEVENT_CHANGE, UEVENT_PCI, path);
        }
        return r >= 0 && *driver != '\0' ? bind_driver(sim, address, driver) : r;
}

void sim_pci_remove_function(const SimHost *sim, const char *address) {
        unsigned group = read_group(sim, address);
        char path[256];

        device_path(address, path, sizeof(path));
        sim_remove_tree(sim, "sys/bus/pci/devices/%s", address);
        sim_remove_tree(sim, "sys/kernel/iommu_groups/%u/devices/%s", group, address);
        sim_remove_tree(sim, "sys/%s", path);
        update_node(sim, group);
        sim_emit(sim, UEVENT_REMOVE, UEVENT_PCI, path);
}

static void audio_address(const SimGpu *gpu, char *buffer, size_t size) {
        (void)snprintf(buffer, size, "%.*s1", (int)strlen(gpu->address) - 1, gpu->address);
}

int sim_pci_plug(const SimHost *sim, const SimGpu *gpu) {
        unsigned group = sim_next_group(sim);
        char audio[SIM_NAME_SIZE];
        int r;

        r = sim_mkdir(sim, "sys/bus/pci/drivers/vfio-pci");
        if (r >= 0)
                r = sim_write(sim, "", 0200, "sys/bus/pci/drivers_probe");
        if (r >= 0)
                r = sim_pci_add_function(sim, gpu->address, NULL, "0x030000\n", sim_gpu_driver(gpu), group);
        if (r < 0 || gpu->kind != SIM_GPU_PLAIN)
                return r < 0 ? r : sim_sriov_plug(sim, gpu);

        audio_address(gpu, audio, sizeof(audio));
        return sim_pci_add_function(sim, audio, NULL, "0x040300\n", "simaudio", group);
}

void sim_pci_unplug(const SimHost *sim, const SimGpu *gpu) {
        char audio[SIM_NAME_SIZE];

        sim_sriov_unplug(sim, gpu);
        audio_address(gpu, audio, sizeof(audio));
        if (gpu->kind == SIM_GPU_PLAIN)
                sim_pci_remove_function(sim, audio);
        sim_pci_remove_function(sim, gpu->address);
}

static void read_text(const SimHost *sim, const char *address, const char *attribute, char *buffer, size_t size) {
        char path[256];

        (void)snprintf(path, sizeof(path), "sys/bus/pci/devices/%.63s/%s", address, attribute);
        attribute_read_text(sim->root_fd, path, buffer, size);
}

/* The driver that the device may be bound to, of all that there are. */
static void choose_driver(const SimHost *sim, const char *address, char *buffer, size_t size) {
        read_text(sim, address, "driver_override", buffer, size);
        if (streq(buffer, "(null)") || *buffer == '\0')
                read_text(sim, address, "native", buffer, size);
}

/* driver NULL: drivers_probe, for which a device that no driver takes is no error. */
static int bind_device(SimHost *sim, const char *driver, const char *address) {
        _cleanup_(fd_closep) int lock = sim_lock(sim);
        char bound[64], wanted[64];
        int r;

        if (lock < 0)
                return lock;
        if (!sim_exists(sim, "sys/bus/pci/devices/%.63s", address))
                return driver ? -ENODEV : -EINVAL;
        choose_driver(sim, address, wanted, sizeof(wanted));
        if (read_link(sim, address, "driver", bound, sizeof(bound)))
                return driver ? -EBUSY : 0;
        if (wanted[0] == '\0')
                return driver ? -ENODEV : 0;
        if (driver ? !streq(driver, wanted) : !sim_exists(sim, "sys/bus/pci/drivers/%s", wanted))
                return driver ? -ENODEV : 0;

        r = bind_driver(sim, address, wanted);
        return r < 0 ? r : sim_sriov_bound(sim, address);
}

static int unbind_device(SimHost *sim, const char *driver, const char *address) {
        unsigned group = read_group(sim, address);
        _cleanup_(fd_closep) int lock = -EBADF;
        char bound[64], path[256];

        if (!read_link(sim, address, "driver", bound, sizeof(bound)) || !streq(bound, driver))
                return -ENODEV;
        while (driver_is_vfio(driver) && sim_group_is_held(sim, group))
                (void)usleep(HELD_POLL_USEC);

        lock = sim_lock(sim);
        if (lock < 0)
                return lock;
        sim_sriov_unbound(sim, address);
        device_path(address, path, sizeof(path));
        sim_remove_tree(sim, "sys/%s/driver", path);
        update_node(sim, group);
        sim_emit(sim, UEVENT_UNBIND, UEVENT_PCI, path);
        return 0;
}

int sim_pci_rebind(const SimHost *sim, const char *address) {
        char bound[64], path[256];

        if (!read_link(sim, address, "driver", bound, sizeof(bound)))
                return -ENODEV;

        device_path(address, path, sizeof(path));
        sim_remove_tree(sim, "sys/%s/driver", path);
        sim_emit(sim, UEVENT_UNBIND, UEVENT_PCI, path);
        return bind_driver(sim, address, bound);
}

static int set_override(const SimHost *sim, const char *folder, const char *text) {
        _cleanup_(fd_closep) int lock = sim_lock(sim);
        char value[64];

        if (lock < 0)
                return lock;

        (void)snprintf(value, sizeof(value), "%.*s\n", (int)strcspn(text, "\n"), text);
        return sim_write(sim, value[0] == '\n' ? "(null)\n" : value, 0644, "sys/%s/driver_override", folder);
}

int sim_pci_store(SimHost *sim, const char *folder, const char *attribute, const char *text) {
        static const char drivers[] = "bus/pci/drivers/";
        char address[64];

        (void)snprintf(address, sizeof(address), "%.*s", (int)strcspn(text, "\n"), text);
        if (streq(attribute, "driver_override") && sim_exists(sim, "sys/%s/driver_override", folder))
                return set_override(sim, folder, text);
        if (streq(folder, "bus/pci") && streq(attribute, "drivers_probe"))
                return bind_device(sim, NULL, address);
        if (strncmp(folder, drivers, sizeof(drivers) - 1) != 0)
                return -ENOTTY;
        if (streq(attribute, "bind"))
                return bind_device(sim, folder + sizeof(drivers) - 1, address);
        if (streq(attribute, "unbind"))
                return unbind_device(sim, folder + sizeof(drivers) - 1, address);

        return -ENOTTY;
}
