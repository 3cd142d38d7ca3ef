/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A vGPU's state out of one and into another of its type, by the daemon's own code (daemon/state) and a real driver: what is
 * written to the one is read from the other; and every way out, also that of a user who is killed, leaves a device that runs.
 * Wants two UUIDs, the kind of device, "shim" or "mtty", and how many mutations of an image shall be tried.
 */

#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "shim-vfio.h"

#include "state/image-format.h"
#include "state/transfer.h"

#define NO_CANCEL (-EBADF)
#define FULL_FOLDER "/run/state-transfer"

static Host host;
static bool is_mtty, is_quiet;
static Error said; /* by the transfer before */
/* Bytes of framebuffer that are written, of a device that has one. */
static const size_t content_size = 3 * MIB;

/* What a transfer's callback does in the phase that it waits for. */
typedef struct Blow {
        TransferPhase phase;
        int cancel_fd; /* to be written to */
        bool kill; /* itself */
        bool fell;
} Blow;

static void blow_fall(const TransferProgress *progress, void *userdata) {
        Blow *blow = userdata;

        if (progress->phase != blow->phase || blow->fell)
                return;
        blow->fell = true;
        if (blow->kill)
                (void)raise(SIGKILL);
        if (blow->cancel_fd >= 0 && write(blow->cancel_fd, "x", 1) != 1)
                abort();
}

static void path_of(const char *uuid, char *ret, size_t size) {
        (void)snprintf(ret, size, "bus/mdev/devices/%s", uuid);
}

static int device_open(const char *uuid, StateDevice *ret) {
        Error error = ERROR_NULL;
        char path[128];

        path_of(uuid, path, sizeof(path));
        return state_device_open(&host, path, ret, &error);
}

static off_t region_at(const StateDevice *device, uint32_t index) {
        struct vfio_region_info info = { .argsz = sizeof(info), .index = index };

        return ioctl(device->device_fd, VFIO_DEVICE_GET_REGION_INFO, &info) < 0 ? -1 : (off_t)info.offset;
}

/* The register that keeps what is written, and the framebuffer's first bytes. */
static bool content_put(const StateDevice *device, uint8_t value) {
        uint32_t word = value * 0x01010101U;
        size_t size = is_mtty ? 1 : 4;
        uint8_t *bytes;
        bool good;

        if (pwrite(device->device_fd, &word, size, region_at(device, 0) + (is_mtty ? 7 : 0x18)) != (ssize_t)size)
                return false;
        if (is_mtty)
                return true;

        bytes = malloc(content_size);
        for (size_t i = 0; bytes && i < content_size; i++)
                bytes[i] = (uint8_t)(value + i * 31 + i / 4096);
        good = bytes && pwrite(device->device_fd, bytes, content_size, region_at(device, VFIO_PCI_BAR1_REGION_INDEX)) ==
                                (ssize_t)content_size;
        free(bytes);
        return good;
}

static bool content_is(const StateDevice *device, uint8_t value) {
        uint32_t word = 0, expected = is_mtty ? value : value * 0x01010101U;
        size_t size = is_mtty ? 1 : 4;
        uint8_t *bytes;
        bool good;

        if (pread(device->device_fd, &word, size, region_at(device, 0) + (is_mtty ? 7 : 0x18)) != (ssize_t)size ||
            word != expected)
                return false;
        if (is_mtty)
                return true;

        bytes = malloc(content_size);
        good = bytes && pread(device->device_fd, bytes, content_size, region_at(device, VFIO_PCI_BAR1_REGION_INDEX)) ==
                                (ssize_t)content_size;
        for (size_t i = 0; good && i < content_size; i++)
                good = bytes[i] == (uint8_t)(value + i * 31 + i / 4096);
        free(bytes);
        return good;
}

static bool is_running(StateDevice *device) {
        Error error = ERROR_NULL;
        DeviceState state;

        return state_device_get_state(device, &state, &error) >= 0 && state == DEVICE_RUNNING;
}

/* By whoever comes next, too. */
static void check_left_running(StateDevice *device, const char *uuid, const char *what) {
        check(is_running(device), "%s: the device runs", what);
        state_device_close(device);
        check(device_open(uuid, device) >= 0 && is_running(device), "%s: and is found running", what);
}

static void fill_header(ImageHeader *header, const char *uuid) {
        image_header_init(header);
        (void)snprintf(header->uuid, sizeof(header->uuid), "%s", uuid);
        header->kind = VGPU_MDEV;
        strcpy(header->backend, "test");
        strcpy(header->driver, is_mtty ? "mtty" : "mdevgpu_ref");
        strcpy(header->type.id, is_mtty ? "mtty-2" : "mdevgpu_ref-1");
}

static int writer_new(Stream *stream, const char *uuid, ImageWriter **ret_writer) {
        Error error = ERROR_NULL;
        ImageHeader header;
        int r;

        fill_header(&header, uuid);
        r = image_writer_new(stream, &header, ret_writer, &error);
        image_header_done(&header);
        return r;
}

/* limit: of the file, in bytes after its header, as root's disk is full there; 0: none. */
static int save_to(StateDevice *device, int fd, bool precopy, Blow *blow, int cancel_fd, uint64_t limit) {
        TransferOptions options = { .precopy = precopy, .progress = blow ? blow_fall : NULL, .userdata = blow };
        _cleanup_(image_writer_freep) ImageWriter *writer = NULL;
        struct rlimit bound = { RLIM_INFINITY, RLIM_INFINITY };
        TransferProgress progress = {};
        Stream stream;
        int r;

        said = ERROR_NULL;
        r = stream_init(&stream, fd, cancel_fd, STREAM_STALL_USEC);
        if (r >= 0)
                r = writer_new(&stream, device->name, &writer);
        if (r < 0)
                return r;
        if (limit > 0) {
                bound.rlim_cur = stream.n_bytes + limit;
                (void)setrlimit(RLIMIT_FSIZE, &bound);
        }
        r = transfer_save(device, writer, &stream, &options, &progress, &said);
        bound.rlim_cur = RLIM_INFINITY;
        (void)setrlimit(RLIMIT_FSIZE, &bound);
        if (r < 0 && !is_quiet)
                printf("          (%s)\n", said.message);
        return r;
}

static int restore_from(StateDevice *device, int fd, Blow *blow, int cancel_fd) {
        TransferOptions options = { .progress = blow ? blow_fall : NULL, .userdata = blow };
        _cleanup_(image_reader_freep) ImageReader *reader = NULL;
        TransferProgress progress = {};
        Stream stream;
        int r;

        said = ERROR_NULL;
        (void)lseek(fd, 0, SEEK_SET);
        r = stream_init(&stream, fd, cancel_fd, STREAM_STALL_USEC);
        if (r >= 0)
                r = image_reader_new(&stream, &reader, &said);
        if (r >= 0)
                r = transfer_restore(device, reader, &options, &progress, &said);
        if (r < 0 && !is_quiet)
                printf("          (%s)\n", said.message);
        return r;
}

static void test_open(StateDevice *a, const char *uuid) {
        StateDevice other;
        uint64_t flags = 0;
        Error error = ERROR_NULL;

        printf("          (by its %s)\n", a->group_fd < 0 ? "node and iommufd" : "group");
        check(device_open(uuid, &other) == -ERROR_IN_USE, "nobody else can open it");
        check(state_device_get_flags(a, &flags, &error) >= 0 && (flags & DEVICE_CAN_STOP_COPY),
              "its driver gives its state");
}

static int test_move(StateDevice *a, StateDevice *b, bool precopy) {
        int fd = memfd_create("image", MFD_CLOEXEC);

        check(content_put(a, 0x5a) && content_put(b, 0x11), "both are written to");
        check(save_to(a, fd, precopy, NULL, NO_CANCEL, 0) == 0, "the state of the one is saved%s",
              precopy ? ", with pre-copy" : "");
        check(is_running(a) && content_is(a, 0x5a), "it runs on as it was");
        check(restore_from(b, fd, NULL, NO_CANCEL) == 0, "and restored to the other");
        check(is_running(b) && content_is(b, 0x5a), "which has what the one had");
        return fd;
}

static void test_cancel(StateDevice *a, const char *uuid, TransferPhase phase, int image) {
        static const char *const names[] = { "cancelled in pre-copy", "cancelled in stop-copy",
                                             "cancelled in resuming" };
        Blow blow = { .phase = phase };
        int fd = memfd_create("image", MFD_CLOEXEC), cancel[2], r;

        if (pipe2(cancel, O_CLOEXEC) < 0)
                abort();
        blow.cancel_fd = cancel[1];
        r = phase == TRANSFER_RESUMING ? restore_from(a, image, &blow, cancel[0])
                                       : save_to(a, fd, true, &blow, cancel[0], 0);
        check(blow.fell && (r == -ERROR_CANCELLED || r == -ECANCELED), "%s: %d", names[phase], r);
        check_left_running(a, uuid, names[phase]);
        close(cancel[0]);
        close(cancel[1]);
        close(fd);
}

static void test_kill(StateDevice *a, const char *uuid, TransferPhase phase, int image) {
        static const char *const names[] = { "killed in pre-copy", "killed in stop-copy", "killed in resuming" };
        Blow blow = { .phase = phase, .cancel_fd = -1, .kill = true };
        Error error = ERROR_NULL;
        int status = 0;
        pid_t pid;

        state_device_close(a);
        pid = fork();
        if (pid == 0) {
                if (device_open(uuid, a) >= 0)
                        (void)(phase == TRANSFER_RESUMING
                                       ? restore_from(a, image, &blow, NO_CANCEL)
                                       : save_to(a, memfd_create("image", 0), true, &blow, NO_CANCEL, 0));
                _exit(0);
        }
        check(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "%s",
              names[phase]);
        /* Of what a driver keeps from one opening to the next, saving takes nothing. */
        check(device_open(uuid, a) >= 0 && state_device_settle(a, &error) >= 0 &&
                      (!is_mtty || phase == TRANSFER_RESUMING || content_is(a, 0x33)),
              "%s: the next one has it run on", names[phase]);
        check_left_running(a, uuid, names[phase]);
}

/* Of a file that may not grow, a pipe that nobody reads, and a disk that is full. */
static void test_targets(StateDevice *a, const char *uuid) {
        int fd = memfd_create("image", MFD_CLOEXEC), ends[2];
        Blow blow = { .phase = TRANSFER_PHASE_INVALID };

        check(save_to(a, fd, false, NULL, NO_CANCEL, 30) == -EIO && strstr(said.message, "File too large"),
              "a write that fails");
        check_left_running(a, uuid, "a write that fails");
        close(fd);

        if (pipe2(ends, O_CLOEXEC) < 0)
                abort();
        close(ends[0]);
        check(save_to(a, ends[1], false, &blow, NO_CANCEL, 0) == -EIO, "a pipe that nobody reads");
        check_left_running(a, uuid, "a pipe that nobody reads");
        close(ends[1]);

        if (is_mtty) /* What it gives is less than a page, and a disk's page is full or not. */
                return;
        (void)mkdir(FULL_FOLDER, 0700);
        if (!check(mount("none", FULL_FOLDER, "tmpfs", 0, "size=1m") == 0, "a small disk"))
                return;
        fd = open(FULL_FOLDER "/image", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
        check(content_put(a, 0x33) && save_to(a, fd, false, NULL, NO_CANCEL, 0) == -EIO &&
                      strstr(said.message, "No space left"),
              "a disk that is full");
        check_left_running(a, uuid, "a disk that is full");
        close(fd);
        (void)umount(FULL_FOLDER);
}

/* Damage that the image shows, at many places, and none of it may stay. */
static void test_damage(StateDevice *b, const char *uuid, int image) {
        off_t size = lseek(image, 0, SEEK_END);
        unsigned n = 0, refused = 0, running = 0;

        is_quiet = true;
        for (off_t at = 0; at < size; at += size / 40 + 1, n++) {
                uint8_t byte;

                if (pread(image, &byte, 1, at) != 1)
                        abort();
                byte ^= 0x10;
                (void)!pwrite(image, &byte, 1, at);
                refused += restore_from(b, image, NULL, NO_CANCEL) < 0;
                running += is_running(b);
                byte ^= 0x10;
                (void)!pwrite(image, &byte, 1, at);
        }
        is_quiet = false;
        check(n > 10 && refused == n && running == n, "of %u damaged images %u are refused, and it runs after %u", n,
              refused, running);
        check_left_running(b, uuid, "damaged images");
}

/* A good image of something that is no state of this driver: the driver's to find out. */
static void test_nonsense(StateDevice *b, const char *uuid) {
        _cleanup_(image_writer_freep) ImageWriter *writer = NULL;
        int fd = memfd_create("image", MFD_CLOEXEC);
        Error error = ERROR_NULL;
        Stream stream;

        if (stream_init(&stream, fd, NO_CANCEL, STREAM_STALL_USEC) < 0 || writer_new(&stream, uuid, &writer) < 0)
                abort();
        memset(image_writer_get_buffer(writer), 0xee, 96);
        if (image_writer_put(writer, 96, &error) < 0 || image_writer_finish(writer, &error) < 0)
                abort();
        check(restore_from(b, fd, NULL, NO_CANCEL) == -ERROR_DRIVER_REJECTED, "a state that is none");
        check_left_running(b, uuid, "a state that is none");
        close(fd);
}

static uint64_t random_next(void) {
        static uint64_t seed = 88172645463325252U;

        seed ^= seed << 13;
        seed ^= seed >> 7;
        return seed ^= seed << 17;
}

/* Bytes that change, an end that is missing, a piece that comes twice. The new size; there is room for twice the old one. */
static size_t mutate(uint8_t *bytes, size_t n) {
        size_t at = random_next() % n, length = MIN(random_next() % 64 + 1, n - at);

        switch (random_next() % 4) {
        case 0:
                return at + 1;
        case 1:
                memmove(bytes + at + length, bytes + at, n - at);
                return n + length;
        case 2:
                for (size_t i = 0; i < length; i++)
                        bytes[at + i] = (uint8_t)random_next();
                return n;
        default:
                bytes[at] ^= (uint8_t)(1U << random_next() % 8);
                return n;
        }
}

/* A state in a sound image, for which its driver alone can judge it. */
static int seal(const char *uuid, const uint8_t *bytes, size_t n) {
        _cleanup_(image_writer_freep) ImageWriter *writer = NULL;
        int fd = memfd_create("image", MFD_CLOEXEC);
        Error error = ERROR_NULL;
        Stream stream;

        if (stream_init(&stream, fd, NO_CANCEL, STREAM_STALL_USEC) < 0 || writer_new(&stream, uuid, &writer) < 0)
                abort();
        memcpy(image_writer_get_buffer(writer), bytes, n);
        if (image_writer_put(writer, n, &error) < 0 || image_writer_finish(writer, &error) < 0)
                abort();
        return fd;
}

/* The state of a device that is as new, which is short; the bytes of its image or, with sealed, of the state alone. */
static size_t small_state(StateDevice *device, bool sealed, uint8_t *ret, size_t size) {
        int fd = memfd_create("image", MFD_CLOEXEC);
        ssize_t n;

        if (!check(save_to(device, fd, false, NULL, NO_CANCEL, 0) == 0, "a short state"))
                return 0;
        n = pread(fd, ret, size, 0);
        close(fd);
        if (n > 0 && sealed) {
                size_t before = sizeof(ImageStart) + ((const ImageStart *)(const void *)ret)->header_size;
                uint32_t length = ((const ImageFrame *)(const void *)(ret + before))->size;

                memmove(ret, ret + before + sizeof(ImageFrame), length);
                return length;
        }
        return n > 0 && (size_t)n < size ? (size_t)n : 0;
}

static void test_mutations(StateDevice *b, const char *uuid, unsigned n, bool sealed) {
        const size_t room = 256 * 1024;
        uint8_t *original = malloc(room), *bytes = malloc(2 * room);
        unsigned refused = 0, running = 0, same = 0;
        size_t size;

        state_device_close(b);
        if (!original || !bytes || device_open(uuid, b) < 0)
                abort();
        size = small_state(b, sealed, original, room);
        for (unsigned i = 0; size > 0 && i < n; i++) {
                size_t now;
                int fd;

                memcpy(bytes, original, size);
                now = mutate(bytes, size);
                /* What stands behind the end is not read. */
                same += now >= size && memcmp(bytes, original, size) == 0;
                fd = sealed ? seal(uuid, bytes, now) : memfd_create("image", MFD_CLOEXEC);
                if (!sealed && write(fd, bytes, now) != (ssize_t)now)
                        abort();
                refused += restore_from(b, fd, NULL, NO_CANCEL) < 0;
                running += is_running(b);
                close(fd);
        }
        check(size > 0 && running == n && (sealed ? refused > n / 10 : refused + same == n),
              "of %u mutations of %s (%zu bytes) %u are refused, and it runs after %u", n,
              sealed ? "a state" : "an image", size, refused, running);
        check_left_running(b, uuid, "mutations");
        free(original);
        free(bytes);
}

int main(int argc, char *argv[]) {
        StateDevice a = STATE_DEVICE_NULL, b = STATE_DEVICE_NULL;
        int image;

        if (argc != 5)
                return EXIT_FAILURE;
        is_mtty = streq(argv[3], "mtty");
        (void)signal(SIGPIPE, SIG_IGN);
        (void)signal(SIGXFSZ, SIG_IGN);
        if (!check(host_open(&host) >= 0 && device_open(argv[1], &a) >= 0 && device_open(argv[2], &b) >= 0,
                   "both are opened"))
                return tests_finish();

        test_open(&a, argv[1]);
        close(test_move(&a, &b, true));
        image = test_move(&a, &b, false);
        test_targets(&a, argv[1]);
        test_damage(&b, argv[2], image);
        test_nonsense(&b, argv[2]);
        for (TransferPhase phase = 0; phase < TRANSFER_PHASE_MAX; phase++) {
                check(content_put(&a, 0x33), "it is written to");
                test_cancel(&a, argv[1], phase, image);
                check(content_put(&a, 0x33), "it is written to");
                test_kill(&a, argv[1], phase, image);
        }
        check(restore_from(&b, image, NULL, NO_CANCEL) == 0 && content_is(&b, 0x5a),
              "after all that, the image is good");
        is_quiet = true;
        test_mutations(&b, argv[2], (unsigned)atoi(argv[4]), false);
        test_mutations(&b, argv[2], (unsigned)atoi(argv[4]), true);
        state_device_close(&a);
        state_device_close(&b);
        return tests_finish();
}
