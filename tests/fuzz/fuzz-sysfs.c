/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A machine whose sysfs and proc say what the input says: every attribute, link and name that is read of a card, of its
 * virtual functions, of a type, of a vGPU and of who holds it. The first byte is the card's driver and whether it is a
 * parent of mediated devices; then come records, each of which begins with a byte that says what it is of and ends before
 * a byte of 1. Whatever is read must be something that the daemon takes from a worker.
 */

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>

#include "core/scan.h"
#include "util/file.h"
#include "util/text.h"
#include "worker/protocol.h"
#include "worker/runner.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

#define GPU "0000:41:00.0"
#define VF "0000:41:00.4"
#define UUID "c0ffee00-0000-4000-8000-000000000001"
#define DEVICES "sys/bus/pci/devices/"
#define TYPES "sys/class/mdev_bus/" GPU "/mdev_supported_types/"
#define MDEV "sys/devices/" GPU "/" UUID "/"

typedef enum Sort {
        ATTRIBUTE,
        LINK, /* the record is what it points to */
        NAME, /* of a folder in this one */
} Sort;

static const struct {
        Sort sort;
        const char *path;
} things[] = {
        { ATTRIBUTE, TYPES "ref-1/name" },
        { ATTRIBUTE, TYPES "ref-1/device_api" },
        { ATTRIBUTE, TYPES "ref-1/description" },
        { ATTRIBUTE, TYPES "ref-1/available_instances" },
        { NAME, TYPES },
        { NAME, TYPES "ref-1/devices/" },
        { LINK, MDEV "iommu_group" },
        { ATTRIBUTE, DEVICES GPU "/class" },
        { ATTRIBUTE, DEVICES GPU "/vendor" },
        { ATTRIBUTE, DEVICES GPU "/subsystem_device" },
        { ATTRIBUTE, DEVICES GPU "/sriov_totalvfs" },
        { ATTRIBUTE, DEVICES GPU "/sriov_numvfs" },
        { ATTRIBUTE, DEVICES GPU "/boot_vga" },
        { ATTRIBUTE, DEVICES GPU "/reset_method" },
        { ATTRIBUTE, DEVICES GPU "/resource" },
        { ATTRIBUTE, DEVICES GPU "/drm/card0/card0-DP-1/enabled" },
        { LINK, DEVICES GPU "/driver" },
        { LINK, DEVICES GPU "/iommu_group" },
        { LINK, DEVICES GPU "/physfn" },
        { LINK, DEVICES GPU "/virtfn0" },
        { LINK, DEVICES GPU "/virtfn1" },
        { LINK, DEVICES VF "/driver" },
        { LINK, DEVICES VF "/iommu_group" },
        { ATTRIBUTE, DEVICES VF "/nvidia/creatable_vgpu_types" },
        { ATTRIBUTE, DEVICES VF "/nvidia/current_vgpu_type" },
        { ATTRIBUTE, DEVICES GPU "/sriov_admin/vf1/profile/vram_quota" },
        { ATTRIBUTE, DEVICES GPU "/sriov_admin/vf1/profile/sched_priority" },
        { NAME, DEVICES },
        { NAME, "sys/class/mdev_bus/" },
        { NAME, "sys/kernel/iommu_groups/7/devices/" },
        { ATTRIBUTE, "sys/module/i915/parameters/enable_gvt" },
        { NAME, "sys/bus/pci/drivers/i915/" },
        { ATTRIBUTE, "sys/module/nvidia/version" },
        { ATTRIBUTE, "proc/driver/nvidia/gpus/" GPU "/information" },
        { ATTRIBUTE, "proc/77/comm" },
        { ATTRIBUTE, "proc/77/cgroup" },
        { ATTRIBUTE, "proc/77/cmdline" },
        { LINK, "proc/77/fd/3" },
        { ATTRIBUTE, "proc/77/fdinfo/3" },
        { NAME, "proc/" },
        { ATTRIBUTE, "run/types/" GPU },
        { ATTRIBUTE, "run/claims/" VF },
        { ATTRIBUTE, "run/claims/" GPU },
};

/* Of the first byte. */
static const char *const drivers[] = { "nvidia", "i915", "xe", "gim", "vfio-pci", "mdevgpu_ref", "amdgpu", "" };

static char root[] = "/dev/shm/mdevgpu-fuzz-XXXXXX";
static int root_fd;
static Host host;

/* abort() and not assert(): a build without assertions would fuzz nothing. */
static void require(bool condition) {
        if (!condition)
                abort();
}

static int store(const Host *h, int dir_fd, const char *path, const char *text) {
        return -EACCES;
}

static int open_node(const Host *h, const char *path, int flags) {
        return -ENOENT;
}

static const HostOps ops = { .store = store, .open_node = open_node };

/* All the folders above the last '/'. */
static void make_folders(const char *path) {
        char folder[512];

        for (const char *p = strchr(path, '/'); p; p = strchr(p + 1, '/')) {
                (void)snprintf(folder, sizeof(folder), "%.*s", (int)(p - path), path);
                require(mkdirat(root_fd, folder, 0700) >= 0 || errno == EEXIST);
        }
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw) {
        return remove(path);
}

static void remove_root(void) {
        (void)nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static int open_below(const char *name) {
        int fd = directory_open(root_fd, name);

        require(fd >= 0);
        return fd;
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
        require(mkdtemp(root) && atexit(remove_root) == 0);
        root_fd = directory_open(AT_FDCWD, root);
        for (size_t i = 0; i < ELEMENTSOF(things); i++)
                make_folders(things[i].path);
        make_folders("dev/vfio/");
        make_folders("etc/");
        make_folders("usr/");
        make_folders(DEVICES VF "/");
        make_folders("sys/bus/pci/drivers/vfio-pci/");
        make_folders("sys/bus/mdev/devices/");
        require(symlinkat("../../../devices/" GPU "/" UUID, root_fd, "sys/bus/mdev/devices/" UUID) >= 0);
        require(mknodat(root_fd, "dev/vfio/7", S_IFREG | 0600, 0) >= 0);

        host = (Host){ .ops = &ops,
                       .sys_fd = open_below("sys"),
                       .dev_fd = open_below("dev"),
                       .proc_fd = open_below("proc"),
                       .etc_fd = open_below("etc"),
                       .var_fd = -EBADF,
                       .run_fd = open_below("run"),
                       .usr_fd = open_below("usr") };
        return 0;
}

/* What the input made, to be unmade. */
typedef struct Made {
        char path[512];
        int flags;
} Made;

static Made made[64];
static size_t n_made;

static void remember(const char *path, int flags) {
        (void)text_copy(made[n_made].path, sizeof(made[n_made].path), path);
        made[n_made++].flags = flags;
}

static void put_attribute(const char *path, const uint8_t *data, size_t size) {
        _cleanup_(fd_closep) int fd =
                openat(root_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

        require(fd >= 0 && file_write_all(fd, (const char *)data, size) >= 0);
        remember(path, 0);
}

static void put_link(const char *path, const char *target) {
        (void)unlinkat(root_fd, path, 0);
        if (target[0] != '\0' && symlinkat(target, root_fd, path) >= 0)
                remember(path, 0);
}

static void put_name(const char *folder, const char *name) {
        char path[512];

        if (strchr(name, '/') || strlen(name) > 255)
                return;

        (void)snprintf(path, sizeof(path), "%s%s", folder, name);
        if (mkdirat(root_fd, path, 0700) >= 0)
                remember(path, AT_REMOVEDIR);
}

static void put(const uint8_t *data, size_t size) {
        size_t which = data[0] % ELEMENTSOF(things);
        char text[4096];

        if (things[which].sort == ATTRIBUTE) {
                put_attribute(things[which].path, data + 1, size - 1);
                return;
        }

        (void)snprintf(text, sizeof(text), "%.*s", (int)(size - 1), (const char *)data + 1);
        if (things[which].sort == LINK)
                put_link(things[which].path, text);
        else
                put_name(things[which].path, text);
}

static void put_all(const uint8_t *data, size_t size) {
        char target[128];

        (void)snprintf(target, sizeof(target), "../../../class/mdev_bus/%s", drivers[data[0] % ELEMENTSOF(drivers)]);
        put_link(DEVICES GPU "/driver", target);
        for (size_t at = 1; at < size && n_made < ELEMENTSOF(made);) {
                const uint8_t *end = memchr(data + at, 1, size - at);
                size_t n = end ? (size_t)(end - data) - at : size - at;

                if (n > 0)
                        put(data + at, n);
                at += n + 1;
        }
}

static void remove_all(void) {
        while (n_made > 0) {
                n_made--;
                (void)unlinkat(root_fd, made[n_made].path, made[n_made].flags);
        }
        /* Kept by what read the lists. */
        (void)unlinkat(root_fd, "run/types/" GPU, 0);
}

/* It passes as it is, and so that it can be sent on. */
static void check_result(JobKind kind, JobResult *result) {
        WireWriter w = {};
        JobResult taken;

        require(result->error.code <= 0 && text_is_printable(result->error.message));
        protocol_put_result(&w, 0, kind, result);
        require(w.error >= 0);
        require(protocol_get_result(w.data + PROTOCOL_HEADER_SIZE, w.size - PROTOCOL_HEADER_SIZE, kind, &taken) >= 0);
        job_result_done(&taken);
        wire_writer_done(&w);
        job_result_done(result);
}

static void run(BackendContext *c, const Job *job) {
        JobResult result;

        job_result_init(&result);
        runner_run(c, job, &result);
        check_result(job->kind, &result);
}

static int on_gpu(const GpuIdentity *identity, void *userdata) {
        require(text_is_name(identity->address) && identity->class <= 0xffffff);
        (void)scan_numa_node(&host, identity->address);
        return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const Attributes none = {};
        const Job
                sync = { .kind = JOB_SYNC },
                users = { .kind = JOB_USERS, .uuid = UUID, .iommu_group = 7 }, examine = { .kind = JOB_EXAMINE },
                create = { .kind = JOB_CREATE, .uuid = UUID, .type_id = TYPE_ID_VF, .parent = "", .attributes = &none },
                vgpu = { .kind = JOB_CREATE, .uuid = UUID, .type_id = "nvidia-11", .parent = "", .attributes = &none };
        BackendContext c;

        if (size == 0)
                return 0;

        put_all(data, size);
        require(scan_gpus(&host, on_gpu, NULL) >= 0);
        runner_init(&c, &host, GPU);
        run(&c, &sync);
        run(&c, &users);
        run(&c, &examine);
        run(&c, &create);
        run(&c, &vgpu);
        runner_done(&c);
        remove_all();
        return 0;
}
