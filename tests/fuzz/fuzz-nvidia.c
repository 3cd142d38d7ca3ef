/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * NVIDIA's driver as an enemy: the model of its resource manager answers, and the input says where its answers are spoiled:
 * errors, statuses, bytes. Whatever it says, the report must be one that the daemon takes.
 */

#include <fcntl.h>
#include <ftw.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>

#include "backend/backends.h"
#include "backend/nvidia-events.h"
#include "util/file.h"
#include "worker/protocol.h"

#include "../unit/nvidia-model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

#define GPU "0000:41:00.0"

static const char *const versions[] = { "525.60.11", "535.183.01", "550.163.01", "565.77",   "570.211.01",
                                        "575.64.05", "580.82.09",  "580.142",    "595.45.04" };

static NvidiaModel model;
static int files[16]; /* by descriptor; -1: it was not opened by this input */
static Host host;
static const uint8_t *input;
static size_t n_input;

/* Nobody waits here. */
int nanosleep(const struct timespec *duration, struct timespec *rest) {
        return 0;
}

static uint8_t take(void) {
        if (n_input == 0)
                return 0;

        n_input--;
        return *input++;
}

static int open_node(const Host *h, const char *path, int flags) {
        int file = nvidia_model_open(&model, path), fd;

        if (file < 0)
                return file;

        /* It always polls readable. */
        fd = eventfd(1, EFD_CLOEXEC);
        if (fd < 0 || (unsigned)fd >= ELEMENTSOF(files))
                abort();
        files[fd] = file;
        return fd;
}

/* Counts and handles are at the beginning: that is where most bytes go. */
static void spoil(uint8_t *p, size_t size) {
        for (unsigned n = take() % 8U; n > 0 && size > 0; n--) {
                size_t at = take();

                at = at < 128 ? at % 16 : (at << 8 | take());
                p[at % size] = take();
        }
}

/* Half of the calls go well; the others as the input says. */
static int call(const Host *h, int fd, unsigned long request, void *argument) {
        uint8_t *args = argument, what = take();
        uint64_t pointer;
        size_t second;
        int r;

        second = nvidia_model_second(request, args, &pointer);
        r = nvidia_model_ioctl(&model, (unsigned)files[fd], request, args,
                               second > 0 ? (uint8_t *)(uintptr_t)pointer : NULL);
        if (r < 0 || what < 128)
                return r;
        if (what < 144)
                return -(what - 127);
        if (what < 176)
                spoil(args, (request >> 16) & 0x3fff);
        else if (second > 0)
                spoil((uint8_t *)(uintptr_t)pointer, second);
        return r;
}

static int store(const Host *h, int dir_fd, const char *path, const char *text) {
        return -EACCES;
}

static const HostOps ops = { .store = store, .open_node = open_node, .ioctl = call };

static void put(int dir_fd, const char *folder, const char *name, const char *text) {
        char path[256];
        int fd;

        for (const char *p = folder; p; p = strchr(p + 1, '/')) {
                const char *end = strchr(p + 1, '/');

                (void)snprintf(path, sizeof(path), "%.*s", end ? (int)(end - folder) : (int)strlen(folder), folder);
                (void)mkdirat(dir_fd, path, 0700);
        }
        (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
        fd = openat(dir_fd, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
                abort();
        fd_close(fd);
}

static char root[] = "/tmp/mdevgpu-fuzz-XXXXXX";

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw) {
        return remove(path);
}

static void remove_root(void) {
        (void)nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* A machine of files, which nothing changes. */
int LLVMFuzzerInitialize(int *argc, char ***argv) {
        if (!mkdtemp(root) || atexit(remove_root) != 0)
                abort();
        host = (Host){ .ops = &ops, .sys_fd = directory_open(AT_FDCWD, root) };
        host.dev_fd = host.proc_fd = host.sys_fd;
        put(host.sys_fd, "bus/pci/devices/" GPU, "vendor", "0x10de\n");
        put(host.sys_fd, "bus/pci/devices/" GPU, "device", "0x20b0\n");
        put(host.sys_fd, "class/mdev_bus/" GPU "/mdev_supported_types/nvidia-1", "name", "One\n");
        put(host.sys_fd, ".", "nvidiactl", "");
        if (symlinkat("../drivers/nvidia", host.sys_fd, "bus/pci/devices/" GPU "/driver") < 0)
                abort();
        return 0;
}

/* What it says must pass: as it is, and so that it can be sent on. */
static void check_result(JobKind kind, JobResult *result) {
        WireWriter w = {};
        JobResult taken;

        protocol_put_result(&w, 0, kind, result);
        if (w.error < 0 ||
            protocol_get_result(w.data + PROTOCOL_HEADER_SIZE, w.size - PROTOCOL_HEADER_SIZE, kind, &taken) < 0)
                abort();
        job_result_done(&taken);
        wire_writer_done(&w);
        job_result_done(result);
}

static void run_usage(BackendContext *c) {
        JobResult result;

        job_result_init(&result);
        if (backend_nvidia.read_usage(c, &result.usage, &result.error) < 0 && result.error.code >= 0)
                abort();
        check_result(JOB_USAGE, &result);
}

static void run_events(void) {
        NvidiaEvents events = NVIDIA_EVENTS_NULL;
        WorkerEvent event;

        for (unsigned i = 0; i < 6; i++) {
                nvidia_events_update(&events, &host, GPU, true);
                (void)nvidia_events_hear(&events, &host, &event);
                if (take() & 1)
                        nvidia_model_notify(&model, &model.gpus[0], take() % MODEL_EVENTS);
        }
        nvidia_events_done(&events);
}

static void run(BackendContext *c, JobResult *result) {

        job_result_init(result);
        result->report.state = GPU_READY;
        if (backend_nvidia.probe(c, &result->error) != 1)
                abort();
        if (backend_nvidia.register_types(c, &result->error) < 0 ||
            backend_nvidia.read(c, &result->report, &result->error) < 0)
                abort();

        check_result(JOB_SYNC, result);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const TypeSpec wanted[] = {
                { .id = 1, .name = "One", .max_instances = 2, .framebuffer = 1 << 20, .multi_vgpu = true },
                { .id = 2, .name = "Two", .max_instances = 1, .framebuffer = 2 << 20 },
                { .id = 3, .name = "A name that has more than thirty-two bytes", .max_instances = 1, .framebuffer = 1 },
        };
        BackendContext c = { .host = &host, .gpu = GPU, .wanted = wanted, .n_wanted = ELEMENTSOF(wanted) };
        ModelGpu *gpu;
        JobResult result;

        input = data;
        n_input = size;
        (void)nvidia_model_init(&model, versions[take() % ELEMENTSOF(versions)]);
        gpu = nvidia_model_plug(&model, 0, 0x41, 0, 0);
        if (take() & 1)
                nvidia_model_run_vgpud(&model, gpu);

        for (size_t i = 0; i < ELEMENTSOF(files); i++)
                files[i] = -1;
        /* The second time with what it remembers of the first. */
        for (unsigned i = 0; i < 2; i++) {
                run(&c, &result);
                run_usage(&c);
                /* It closes what it opens. */
                for (int fd = 0; fd < (int)ELEMENTSOF(files); fd++)
                        if (files[fd] >= 0 && fcntl(fd, F_GETFD) >= 0)
                                abort();
        }
        if (model.n_discards > 0)
                abort();
        run_events();
        backend_nvidia.close(&c);
        return 0;
}
