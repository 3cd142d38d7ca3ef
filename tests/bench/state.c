/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A state that is saved and restored by the worker's own code, and the same bytes read and written by nobody else, in turn. The
 * driver is a real one, or one that takes no time of its own: a file in memory, so that whatever is added is seen.
 */

#include <fcntl.h>
#include <linux/vfio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "bench.h"

#include "state/image.h"
#include "state/transfer.h"
#include "worker/state-store.h"

#define CHUNK IMAGE_FRAME_MAX
#define PLAIN "plain"
#define NAME "bench"

/* As in Linux 6.12, which Debian 12's headers (6.1) predate. */
#define FEATURE_MIGRATION 1U
#define FEATURE_DEVICE_STATE 2U

typedef struct Feature {
        uint32_t argsz; /* as struct vfio_device_feature */
        uint32_t flags;
        union {
                uint64_t flags;
                struct {
                        uint32_t state;
                        int32_t data_fd;
                } state;
        } value;
} Feature;

typedef struct Bench {
        Host host;
        StateDevice device;
        int folder_fd;
        ImageHeader header;
        uint64_t n_bytes; /* of the state, as it was last */
        uint8_t *buffer;
} Bench;

typedef struct Took {
        double bytes; /* until the last byte is handed over */
        double cpu; /* of that */
        double durable; /* from there until it is for good */
} Took;

static int memory_state; /* the driver that takes no time has one device */

static int memory_ioctl(const Host *host, int fd, unsigned long request, void *argument) {
        Feature *feature = argument;
        char path[64];

        (void)host;
        if (request == VFIO_DEVICE_RESET)
                return memory_state = DEVICE_RUNNING, 0;
        if (request != VFIO_DEVICE_FEATURE)
                return -ENOTTY;
        if ((feature->flags & VFIO_DEVICE_FEATURE_MASK) == FEATURE_MIGRATION)
                return feature->value.flags = DEVICE_CAN_STOP_COPY, 0;
        if ((feature->flags & VFIO_DEVICE_FEATURE_MASK) != FEATURE_DEVICE_STATE)
                return -ENOTTY;

        if (feature->flags & VFIO_DEVICE_FEATURE_SET) {
                memory_state = (int)feature->value.state.state;
                (void)snprintf(path, sizeof(path), "/proc/self/fd/%i", fd);
                feature->value.state.data_fd = -1;
                if (memory_state == DEVICE_STOP_COPY || memory_state == DEVICE_RESUMING)
                        feature->value.state.data_fd = open(path, O_RDWR | O_CLOEXEC);
        }
        feature->value.state.state = (uint32_t)memory_state;
        return 0;
}

static int try_with(int r, const Error *error) {
        if (r < 0)
                bench_die("%s (%i)", error->message, r);

        return r;
}

/* With what no driver can make shorter. */
static void fill(Bench *b, off_t at, size_t size) {
        for (size_t n = 0; n < size; n += CHUNK) {
                for (size_t i = 0; i < CHUNK; i += 256)
                        if (getrandom(b->buffer + i, 256, 0) != 256)
                                bench_die("getrandom: %s", strerror(errno));
                if (pwrite(b->device.device_fd, b->buffer, CHUNK, at + (off_t)n) != (ssize_t)CHUNK)
                        bench_die("What the device holds cannot be written: %s", strerror(errno));
        }
}

static void open_memory(Bench *b, size_t size) {
        static HostOps ops;

        memory_state = DEVICE_RUNNING;
        ops = *b->host.ops;
        ops.ioctl = memory_ioctl;
        b->host.ops = &ops;
        b->device = (StateDevice)STATE_DEVICE_NULL;
        b->device.host = &b->host;
        b->device.device_fd = memfd_create("state", MFD_CLOEXEC);
        fill(b, 0, size);
}

/* Its framebuffer is its second region. */
static void open_real(Bench *b, const char *uuid, size_t size) {
        struct vfio_region_info info = { .argsz = sizeof(info), .index = VFIO_PCI_BAR1_REGION_INDEX };
        Error error = ERROR_NULL;
        char path[128];

        (void)snprintf(path, sizeof(path), "bus/mdev/devices/%s", uuid);
        (void)try_with(state_device_open(&b->host, path, &b->device, &error), &error);
        if (ioctl(b->device.device_fd, VFIO_DEVICE_GET_REGION_INFO, &info) < 0 || info.size < size)
                bench_die("%s has no framebuffer of %zu bytes", uuid, size);
        fill(b, (off_t)info.offset, size);
}

static void set_state(Bench *b, DeviceState state) {
        Error error = ERROR_NULL;

        (void)try_with(state_device_set_state(&b->device, state, &error), &error);
}

static void put(int fd, const uint8_t *data, size_t size, bool driver, const Bench *b) {
        while (size > 0) {
                ssize_t n = driver ? b->host.ops->write_data(&b->host, fd, data, size) : write(fd, data, size);

                if (n <= 0)
                        bench_die("write: %s", strerror(driver ? (int)-n : errno));
                data += n;
                size -= (size_t)n;
        }
}

static Took save_plainly(Bench *b) {
        double t, cpu;
        ssize_t n;
        Took took;
        int fd;

        /* What was there goes in nobody's time. */
        (void)unlinkat(b->folder_fd, PLAIN, 0);
        t = bench_now();
        cpu = bench_cpu(getpid());
        fd = openat(b->folder_fd, PLAIN ".new", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0)
                bench_die("open: %s", strerror(errno));
        set_state(b, DEVICE_STOP_COPY);
        b->n_bytes = 0;
        while ((n = b->host.ops->read_data(&b->host, b->device.data_fd, b->buffer, CHUNK)) > 0) {
                put(fd, b->buffer, (size_t)n, false, b);
                b->n_bytes += (uint64_t)n;
        }
        set_state(b, DEVICE_RUNNING);
        took.bytes = bench_now() - t;
        took.cpu = bench_cpu(getpid()) - cpu;
        if (n < 0 || fsync(fd) < 0 || renameat(b->folder_fd, PLAIN ".new", b->folder_fd, PLAIN) < 0 ||
            fsync(b->folder_fd) < 0 || close(fd) < 0)
                bench_die("fsync: %s", strerror(errno));
        took.durable = bench_now() - t - took.bytes;
        return took;
}

/* What the worker does for SaveState(). */
static Took save(Bench *b) {
        const TransferOptions options = {};
        const Job job = { .state_name = NAME, .quota = UNKNOWN_U64, .replace = true };
        _cleanup_(image_writer_freep) ImageWriter *writer = NULL;
        TransferProgress progress = {};
        Error error = ERROR_NULL;
        double t = bench_now(), cpu = bench_cpu(getpid());
        StateFile file;
        Stream stream;
        Took took;

        (void)try_with(state_file_create(&b->host, &job, &file, &error), &error);
        bench_try(stream_init(&stream, file.fd, -EBADF, STREAM_STALL_USEC), "the stream");
        stream.moved = state_file_moved;
        stream.userdata = &file;
        (void)try_with(image_writer_new(&stream, &b->header, &writer, &error), &error);
        (void)try_with(transfer_save(&b->device, writer, &stream, &options, &progress, &error), &error);
        took.bytes = bench_now() - t;
        took.cpu = bench_cpu(getpid()) - cpu;
        (void)try_with(state_file_commit(&file, &error), &error);
        took.durable = bench_now() - t - took.bytes;
        state_file_done(&file);
        return took;
}

static Took restore_plainly(Bench *b) {
        double t = bench_now(), cpu = bench_cpu(getpid());
        ssize_t n;
        int fd;

        fd = openat(b->folder_fd, PLAIN, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                bench_die("open: %s", strerror(errno));
        set_state(b, DEVICE_RESUMING);
        while ((n = read(fd, b->buffer, CHUNK)) > 0)
                put(b->device.data_fd, b->buffer, (size_t)n, true, b);
        set_state(b, DEVICE_STOP);
        set_state(b, DEVICE_RUNNING);
        if (n < 0 || close(fd) < 0)
                bench_die("read: %s", strerror(errno));
        return (Took){ .bytes = bench_now() - t, .cpu = bench_cpu(getpid()) - cpu };
}

static Took restore(Bench *b) {
        const TransferOptions options = {};
        _cleanup_(image_reader_freep) ImageReader *reader = NULL;
        TransferProgress progress = {};
        Error error = ERROR_NULL;
        double t = bench_now(), cpu = bench_cpu(getpid());
        Stream stream;
        int fd;

        (void)try_with(state_store_open(&b->host, NAME, &fd, &error), &error);
        bench_try(stream_init(&stream, fd, -EBADF, STREAM_STALL_USEC), "the stream");
        (void)try_with(image_reader_new(&stream, &reader, &error), &error);
        (void)try_with(transfer_restore(&b->device, reader, &options, &progress, &error), &error);
        (void)close(fd);
        return (Took){ .bytes = bench_now() - t, .cpu = bench_cpu(getpid()) - cpu };
}

static void fill_header(ImageHeader *header) {
        image_header_init(header);
        strcpy(header->uuid, "00000000-0000-4000-8000-000000000000");
        header->kind = VGPU_MDEV;
        strcpy(header->backend, "bench");
        strcpy(header->driver, "bench");
        strcpy(header->type.id, "bench-1");
}

static void measure(Bench *b, size_t n) {
        static const struct {
                const char *name;
                Took (*run)(Bench *b);
        } sides[] = {
                { "save.plain", save_plainly },
                { "save", save },
                { "restore.plain", restore_plainly },
                { "restore", restore },
        };
        static double bytes[ELEMENTSOF(sides)][BENCH_ROUNDS_MAX], cpu[ELEMENTSOF(sides)][BENCH_ROUNDS_MAX],
                durable[ELEMENTSOF(sides)][BENCH_ROUNDS_MAX];

        /* The first time is everybody's warming up. */
        for (size_t round = 0; round <= n; round++)
                for (size_t i = 0; i < ELEMENTSOF(sides); i++) {
                        Took took = sides[i].run(b);

                        bytes[i][MAX(round, 1U) - 1] = took.bytes;
                        cpu[i][MAX(round, 1U) - 1] = took.cpu;
                        durable[i][MAX(round, 1U) - 1] = took.durable;
                }

        printf("mib %.1f\n", (double)b->n_bytes / (1 << 20));
        for (size_t i = 0; i < ELEMENTSOF(sides); i++) {
                char name[64];

                bench_say(sides[i].name, bytes[i], n);
                (void)snprintf(name, sizeof(name), "%s.cpu", sides[i].name);
                bench_say(name, cpu[i], n);
                (void)snprintf(name, sizeof(name), "%s.durable", sides[i].name);
                bench_say(name, durable[i], n);
        }
}

int bench_state(int argc, char **argv) {
        size_t mib = (size_t)atoi(argv[1]), n = bench_read_rounds(argv[3]);
        Bench b = {};

        (void)argc;
        bench_try(host_open(&b.host), "this machine");
        b.buffer = malloc(CHUNK);
        b.folder_fd = open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (!b.buffer || b.folder_fd < 0)
                bench_die("%s: %s", argv[2], strerror(errno));
        b.host.var_fd = b.folder_fd;
        fill_header(&b.header);

        if (streq(argv[0], "memory"))
                open_memory(&b, mib << 20);
        else
                open_real(&b, argv[0], mib << 20);
        measure(&b, n);
        state_device_close(&b.device);
        return EXIT_SUCCESS;
}
