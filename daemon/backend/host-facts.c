/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <sys/stat.h>

#include "backend/host-facts.h"
#include "util/file.h"
#include "util/text.h"

/* libvirt's driver is some 300 KiB; what is larger than this is none. */
#define DRIVER_SIZE_MAX ((size_t)8 << 20)
/* PCI devices that are looked at; far more than a machine has. */
#define DEVICES_MAX 4096U
/* Region 2 is the third line of `resource`: of Intel's GPUs the aperture (Linux 6.1, drivers/gpu/drm/i915/gt/intel_ggtt.c,
 * GEN12 and earlier). */
#define APERTURE_REGION 2U

static bool exists(int dir_fd, const char *path) {
        return dir_fd >= 0 && path_exists(dir_fd, path);
}

static bool folder_has_entries(int dir_fd, const char *path) {
        _cleanup_(dir_closep) DIR *dir = NULL;

        return dir_fd >= 0 && directory_list(dir_fd, path, &dir) >= 0 && directory_next(dir);
}

static FirmwareIommu read_firmware_iommu(const Host *host) {
        if (exists(host->sys_fd, "firmware/acpi/tables/DMAR"))
                return FIRMWARE_IOMMU_DMAR;
        if (exists(host->sys_fd, "firmware/acpi/tables/IVRS"))
                return FIRMWARE_IOMMU_IVRS;

        return FIRMWARE_IOMMU_NONE;
}

static GvtParameter read_gvt(const Host *host) {
        char value[16] = "";

        attribute_read_text(host->sys_fd, "module/i915/parameters/enable_gvt", value, sizeof(value));
        if (value[0] == '\0')
                return GVT_ABSENT;

        return value[0] == 'Y' || value[0] == '1' ? GVT_ON : GVT_OFF;
}

/* A line of `resource` is the first and the last address and the flags of a region, as hexadecimal numbers. */
static bool read_aperture(const Host *host, const char *address, uint64_t *ret_size) {
        char path[SYSFS_NAME_SIZE + 64], text[4096];
        unsigned long long first, last;
        const char *line = text;

        (void)snprintf(path, sizeof(path), "bus/pci/devices/%s/resource", address);
        if (attribute_read(host->sys_fd, path, text, sizeof(text)) < 0)
                return false;
        for (unsigned i = 0; i < APERTURE_REGION; i++) {
                line = strchr(line, '\n');
                if (!line)
                        return false;
                line++;
        }
        if (sscanf(line, "%llx %llx", &first, &last) != 2 || last <= first)
                return false;

        *ret_size = last - first + 1;
        return true;
}

static void read_apertures(const Host *host, HostFacts *facts) {
        _cleanup_(dir_closep) DIR *dir = NULL;
        struct dirent *entry;

        if (directory_list(host->sys_fd, "bus/pci/drivers/i915", &dir) < 0)
                return;

        for (unsigned n = 0; n < DEVICES_MAX && (entry = directory_next(dir)); n++) {
                Aperture *aperture = &facts->apertures[facts->n_apertures];

                /* Its devices are links whose names are addresses. */
                if (!strchr(entry->d_name, ':') || facts->n_apertures == FACTS_APERTURES_MAX)
                        continue;
                if (!text_is_name(entry->d_name) || !read_aperture(host, entry->d_name, &aperture->size))
                        continue;
                (void)text_copy(aperture->address, sizeof(aperture->address), entry->d_name);
                facts->n_apertures++;
        }
}

/* A file of the same name in /etc, or a link to /dev/null there, stands in place of the packaged rule. */
static bool read_mdevctl_rule(const Host *host) {
        static const char rule[] = "udev/rules.d/60-mdevctl.rules";
        char target[FACTS_PATH_SIZE];

        if (exists(host->etc_fd, rule))
                return link_read_basename(host->etc_fd, rule, target, sizeof(target)) < 0 || !streq(target, "null");

        return exists(host->usr_fd, "lib/udev/rules.d/60-mdevctl.rules");
}

static int open_driver_below(int lib_fd, const char *folder) {
        char path[SYSFS_NAME_SIZE + 64];

        (void)snprintf(path, sizeof(path), "%s/libvirt/connection-driver/libvirt_driver_nodedev.so", folder);
        return openat(lib_fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
}

/* In lib64, lib, or the folder in that which Debian has for an architecture. */
static int open_libvirt_driver(const Host *host) {
        _cleanup_(dir_closep) DIR *dir = NULL;
        struct dirent *entry;
        int fd;

        if (host->usr_fd < 0)
                return -ENOENT;
        fd = open_driver_below(host->usr_fd, "lib64");
        if (fd < 0)
                fd = open_driver_below(host->usr_fd, "lib");
        if (fd >= 0 || directory_list(host->usr_fd, "lib", &dir) < 0)
                return fd;

        while (fd < 0 && (entry = directory_next(dir)))
                if (strstr(entry->d_name, "-linux-gnu") && text_is_name(entry->d_name))
                        fd = open_driver_below(dirfd(dir), entry->d_name);
        return fd;
}

/* The string constant that ends in "/mdevctl": whatever stands before it back to the last one's end. */
static void find_path(const char *data, size_t size, char *buffer, size_t buffer_size) {
        static const char name[] = "/mdevctl";
        const char *found, *start;

        found = memmem(data, size, name, sizeof(name));
        if (!found)
                return;
        for (start = found; start > data && start[-1] != '\0';)
                start--;

        if (*start == '/' && text_is_printable(start))
                (void)text_copy(buffer, buffer_size, start);
}

static void read_libvirt(const Host *host, HostFacts *facts) {
        _cleanup_(fd_closep) int fd = open_libvirt_driver(host);
        _cleanup_(freep) char *data = NULL;
        struct stat st;
        ssize_t n;

        if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size > DRIVER_SIZE_MAX)
                return;
        data = malloc((size_t)st.st_size + 1);
        if (!data)
                return;

        n = read(fd, data, (size_t)st.st_size);
        if (n > 0)
                find_path(data, (size_t)n, facts->libvirt_mdevctl, sizeof(facts->libvirt_mdevctl));
        if (strncmp(facts->libvirt_mdevctl, "/usr/", 5) == 0)
                facts->libvirt_mdevctl_exists = exists(host->usr_fd, facts->libvirt_mdevctl + 5);
}

/* What fdinfo says of an inotify descriptor: a line "inotify wd:1 ino:9a01 sdev:…" for each watch, the inode as
 * hexadecimal number (Linux, Documentation/filesystems/proc.rst). */
static bool descriptor_watches(const Host *host, const char *pid, const char *fd, const char *needle) {
        char path[96], target[64], text[65536];
        ssize_t n;

        (void)snprintf(path, sizeof(path), "%.20s/fd/%.20s", pid, fd);
        n = readlinkat(host->proc_fd, path, target, sizeof(target) - 1);
        if (n < 0)
                return false;
        target[n] = '\0';
        if (!streq(target, "anon_inode:inotify"))
                return false;

        (void)snprintf(path, sizeof(path), "%.20s/fdinfo/%.20s", pid, fd);
        return attribute_read(host->proc_fd, path, text, sizeof(text)) < 0 || strstr(text, needle);
}

/* libvirt watches the folder if that is there when it starts, and else never (observed: 9.0 and 11.3, udevNodeStateInit()). One
 * in a container, or of another root, is left out. */
static bool is_blind(const Host *host, const char *pid, const struct stat *folder) {
        _cleanup_(dir_closep) DIR *dir = NULL;
        char path[64], comm[32], needle[32];
        struct dirent *entry;
        struct stat st;

        (void)snprintf(path, sizeof(path), "%.20s/comm", pid);
        attribute_read_text(host->proc_fd, path, comm, sizeof(comm));
        if (!streq(comm, "libvirtd") && !streq(comm, "virtnodedevd"))
                return false;
        (void)snprintf(path, sizeof(path), "%.20s/root/etc/mdevctl.d", pid);
        if (fstatat(host->proc_fd, path, &st, 0) < 0 || st.st_dev != folder->st_dev || st.st_ino != folder->st_ino)
                return false;
        (void)snprintf(path, sizeof(path), "%.20s/fd", pid);
        if (directory_list(host->proc_fd, path, &dir) < 0)
                return false;

        (void)snprintf(needle, sizeof(needle), " ino:%llx ", (unsigned long long)folder->st_ino);
        while ((entry = directory_next(dir)))
                if (descriptor_watches(host, pid, entry->d_name, needle))
                        return false;

        return true;
}

static uint32_t find_blind_libvirt(const Host *host) {
        _cleanup_(fd_closep) int driver = open_libvirt_driver(host); /* without it nothing is to be seen */
        _cleanup_(dir_closep) DIR *dir = NULL;
        struct dirent *entry;
        struct stat folder;

        if (driver < 0 || host->etc_fd < 0 || fstatat(host->etc_fd, "mdevctl.d", &folder, 0) < 0 || host->proc_fd < 0 ||
            directory_list(host->proc_fd, ".", &dir) < 0)
                return 0;

        while ((entry = directory_next(dir)))
                if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' && is_blind(host, entry->d_name, &folder))
                        return (uint32_t)strtoul(entry->d_name, NULL, 10);

        return 0;
}

static void read_callouts_of(int dir_fd, const char *path, HostFacts *facts) {
        _cleanup_(dir_closep) DIR *dir = NULL;
        struct dirent *entry;

        if (dir_fd < 0 || directory_list(dir_fd, path, &dir) < 0)
                return;

        for (unsigned n = 0; n < DEVICES_MAX && (entry = directory_next(dir)); n++) {
                size_t used = strlen(facts->callouts);
                struct stat st;

                if (fstatat(dirfd(dir), entry->d_name, &st, 0) < 0 || !S_ISREG(st.st_mode) || !(st.st_mode & 0111) ||
                    !text_is_name(entry->d_name))
                        continue;
                facts->n_callouts++;
                if (used + strlen(entry->d_name) + sizeof(", ") < sizeof(facts->callouts))
                        (void)snprintf(facts->callouts + used, sizeof(facts->callouts) - used, "%s%s",
                                       used > 0 ? ", " : "", entry->d_name);
        }
}

static void read_callouts(const Host *host, HostFacts *facts) {
        read_callouts_of(host->usr_fd, "lib/mdevctl/scripts.d/callouts", facts);
        read_callouts_of(host->usr_fd, "lib/mdevctl/scripts.d/notifiers", facts);
        read_callouts_of(host->etc_fd, "mdevctl.d/scripts.d/callouts", facts);
        read_callouts_of(host->etc_fd, "mdevctl.d/scripts.d/notifiers", facts);
}

/* Of these two names mdevgpud's own are links. */
static bool is_copied(int dir_fd, const char *path) {
        struct stat st;

        return fstatat(dir_fd, path, &st, AT_SYMLINK_NOFOLLOW) >= 0 && S_ISREG(st.st_mode);
}

void host_facts_read(const Host *host, HostFacts *ret_facts) {
        HostFacts facts = {
                .iommu = folder_has_entries(host->sys_fd, "kernel/iommu_groups"),
                .firmware_iommu = read_firmware_iommu(host),
                .mdev_class = exists(host->sys_fd, "class/mdev_bus"),
                .nvidia_vgpu_module = exists(host->sys_fd, "module/nvidia_vgpu_vfio"),
                .gvt = read_gvt(host),
                .kvmgt_module = exists(host->sys_fd, "module/kvmgt"),
                .mdevctl_rule = read_mdevctl_rule(host),
                .mdevctl_program = exists(host->usr_fd, "sbin/mdevctl"),
                .libvirt_blind = find_blind_libvirt(host),
                .mdev_gpu_unit = is_copied(host->etc_fd, "systemd/system/mdev-post.service"),
                .mdev_gpu_program = is_copied(host->usr_fd, "bin/mdev-cli"),
        };

        read_apertures(host, &facts);
        read_libvirt(host, &facts);
        read_callouts(host, &facts);
        *ret_facts = facts;
}
