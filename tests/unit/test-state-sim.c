/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The simulated machine's vGPUs as devices of VFIO migration: the kernel's table of steps, what the nodes and descriptors
 * answer, and whole transfers by the daemon's own code. Real drivers answer the same tests in the virtual machine.
 */

#include <fcntl.h>
#include <linux/vfio.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "sim/sim-host.h"
#include "state/transfer.h"
#include "util/file.h"

#include <glib.h>
#include <glib/gstdio.h>

#define GPU "0000:41:00.0"
#define NVIDIA "0000:43:00.0"
#define NVIDIA_FUNCTION "0000:43:01.0"
#define CARD "0000:44:00.0"
#define KEEPING "11111111-1111-4111-8111-111111111111"
#define FORGETTING "22222222-2222-4222-8222-222222222222"
#define MTTY "33333333-3333-4333-8333-333333333333"
#define TWIN "44444444-4444-4444-8444-444444444444" /* of KEEPING's type */
#define FIXED "55555555-5555-4555-8555-555555555555" /* does not migrate */

/* No whole number of blocks. */
#define SIZE 300001U

#define GET_PRECOPY_INFO _IO(VFIO_TYPE, VFIO_BASE + 21)

static const uint64_t all_flags = DEVICE_CAN_STOP_COPY | DEVICE_CAN_P2P | DEVICE_CAN_PRE_COPY;

typedef struct Stand {
        SimHost sim; /* first: it must not move */
        char *root;
        int image;
} Stand;

static void make_mdev(Stand *s, const char *parent, const char *type, const char *uuid) {
        g_autofree char *path = g_strdup_printf("class/mdev_bus/%s/mdev_supported_types/%s/create", parent, type);

        g_assert_cmpint(s->sim.host.ops->store(&s->sim.host, s->sim.host.sys_fd, path, uuid), ==, 0);
}

static void set_types(Stand *s) {
        struct mdevgpu_type types[2] = {
                { .id = 1, .framebuffer = 1 << 20, .max_instances = 8, .flags = MDEVGPU_TYPE_KEEP_STATE, .name = "a" },
                { .id = 2, .framebuffer = 1 << 20, .max_instances = 8, .name = "b" },
        };
        struct mdevgpu_set_types args = { .size = sizeof(args),
                                          .type_size = sizeof(types[0]),
                                          .n_types = 2,
                                          .types = (uintptr_t)types };
        _cleanup_(fd_closep) int fd = s->sim.host.ops->open_node(&s->sim.host, "mdevgpu/gpu0", O_RDWR);

        g_assert_cmpint(s->sim.host.ops->ioctl(&s->sim.host, fd, MDEVGPU_SET_TYPES, &args), ==, 0);
}

static Stand *stand_new(void) {
        Stand *s = g_new0(Stand, 1);

        s->root = g_dir_make_tmp("state-sim-XXXXXX", NULL);
        s->image = memfd_create("image", MFD_CLOEXEC);
        g_assert_cmpint(sim_host_open(s->root, &s->sim), ==, 0);
        g_assert_cmpint(sim_host_set_content_size(&s->sim, SIZE), ==, 0);
        g_assert_cmpint(sim_host_plug(&s->sim, GPU, SIM_GPU_SHIM, UINT64_C(1) << 30), ==, 0);
        g_assert_cmpint(sim_host_plug(&s->sim, "mtty0", SIM_GPU_MTTY, 24), ==, 0);
        set_types(s);
        make_mdev(s, GPU, "mdevgpu_ref-1", KEEPING);
        make_mdev(s, GPU, "mdevgpu_ref-1", TWIN);
        make_mdev(s, GPU, "mdevgpu_ref-2", FORGETTING);
        make_mdev(s, "mtty0", "mtty-2", MTTY);
        return s;
}

static void stand_free(Stand *s) {
        g_autofree char *command = g_strdup_printf("rm -r '%s'", s->root);

        sim_host_close(&s->sim);
        (void)close(s->image);
        g_assert_cmpint(system(command), ==, 0);
        g_free(s->root);
        g_free(s);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Stand, stand_free)

static int device_open(Stand *s, const char *uuid, StateDevice *ret) {
        g_autofree char *path = g_strdup_printf("bus/mdev/devices/%s", uuid);
        Error error = ERROR_NULL;

        return state_device_open(&s->sim.host, path, ret, &error);
}

static StateDevice must_open(Stand *s, const char *uuid) {
        StateDevice device = STATE_DEVICE_NULL;

        g_assert_cmpint(device_open(s, uuid, &device), ==, 0);
        return device;
}

static DeviceState state_of(StateDevice *device) {
        DeviceState state = DEVICE_STATE_INVALID;

        g_assert_cmpint(state_device_get_state(device, &state, NULL), ==, 0);
        return state;
}

/* value 0: as new. */
static void fill(Stand *s, const char *uuid, unsigned value) {
        g_autofree char *path = g_build_filename(s->root, "content", uuid, NULL), *bytes = g_malloc0(SIZE);

        for (size_t i = 0; value != 0 && i < SIZE; i++)
                bytes[i] = (char)(value + i * 31 + i / 4096);
        g_assert_true(g_file_set_contents(path, bytes, SIZE, NULL));
}

static bool holds(Stand *s, const char *uuid, unsigned value) {
        g_autofree char *path = g_build_filename(s->root, "content", uuid, NULL), *bytes = NULL;
        gsize n;

        g_assert_true(g_file_get_contents(path, &bytes, &n, NULL));
        for (size_t i = 0; i < n; i++)
                if (bytes[i] != (value == 0 ? 0 : (char)(value + i * 31 + i / 4096)))
                        return false;
        return n == SIZE;
}

/* What happens in the middle of a transfer. */
typedef struct Blow {
        TransferPhase phase;
        int cancel_fd;
        Stand *refill; /* KEEPING gets another content */
        bool fell;
        unsigned n_reports;
} Blow;

static void on_progress(const TransferProgress *progress, void *userdata) {
        Blow *blow = userdata;

        blow->n_reports++;
        if (progress->phase != blow->phase || blow->fell)
                return;
        blow->fell = true;
        if (blow->refill)
                fill(blow->refill, KEEPING, 99);
        if (blow->cancel_fd > 0)
                g_assert_cmpint(write(blow->cancel_fd, "x", 1), ==, 1);
}

static ImageWriter *writer_new(Stream *stream) {
        ImageWriter *writer = NULL;
        Error error = ERROR_NULL;
        ImageHeader header;

        image_header_init(&header);
        strcpy(header.uuid, KEEPING);
        strcpy(header.backend, "mdev");
        strcpy(header.driver, "any");
        strcpy(header.type.id, "any-1");
        g_assert_cmpint(image_writer_new(stream, &header, &writer, &error), ==, 0);
        image_header_done(&header);
        return writer;
}

static int save(Stand *s, StateDevice *device, bool precopy, Blow *blow, int cancel_fd) {
        const TransferOptions options = { .precopy = precopy, .progress = on_progress, .userdata = blow };
        _cleanup_(image_writer_freep) ImageWriter *writer = NULL;
        TransferProgress progress;
        Error error = ERROR_NULL;
        Stream stream;

        g_assert_cmpint(ftruncate(s->image, 0), ==, 0);
        g_assert_cmpint(lseek(s->image, 0, SEEK_SET), ==, 0);
        g_assert_cmpint(stream_init(&stream, s->image, cancel_fd, STREAM_STALL_USEC), ==, 0);
        writer = writer_new(&stream);
        return transfer_save(device, writer, &stream, &options, &progress, &error);
}

static int restore(Stand *s, StateDevice *device, Blow *blow, int cancel_fd) {
        const TransferOptions options = { .progress = on_progress, .userdata = blow };
        _cleanup_(image_reader_freep) ImageReader *reader = NULL;
        TransferProgress progress;
        Error error = ERROR_NULL;
        Stream stream;

        g_assert_cmpint(lseek(s->image, 0, SEEK_SET), ==, 0);
        g_assert_cmpint(stream_init(&stream, s->image, cancel_fd, STREAM_STALL_USEC), ==, 0);
        g_assert_cmpint(image_reader_new(&stream, &reader, &error), ==, 0);
        return transfer_restore(device, reader, &options, &progress, &error);
}

static void test_there_and_back(void) {
        static const char *const uuids[] = { KEEPING, MTTY };
        g_autoptr(Stand) s = stand_new();

        for (unsigned i = 0; i < 4; i++) {
                const char *uuid = uuids[i / 2];
                StateDevice device = must_open(s, uuid);
                Blow blow = { .phase = TRANSFER_PRE_COPY };

                fill(s, uuid, 7 + i);
                g_assert_cmpint(save(s, &device, i % 2, &blow, -EBADF), ==, 0);
                g_assert_true(blow.fell == (i % 2 == 1));
                g_assert_cmpint(state_of(&device), ==, DEVICE_RUNNING);
                g_assert_true(holds(s, uuid, 7 + i));

                fill(s, uuid, 0);
                g_assert_cmpint(restore(s, &device, &blow, -EBADF), ==, 0);
                g_assert_cmpint(state_of(&device), ==, DEVICE_RUNNING);
                g_assert_true(holds(s, uuid, 7 + i));
                state_device_close(&device);
        }
}

/* Of a guest that writes while the state goes out, what it wrote last arrives; and nothing of another type's. */
static void test_move(void) {
        g_autoptr(Stand) s = stand_new();
        StateDevice a = must_open(s, KEEPING), b = must_open(s, TWIN), other = must_open(s, FORGETTING);
        Blow blow = { .phase = TRANSFER_PRE_COPY, .refill = s };

        fill(s, KEEPING, 5);
        g_assert_cmpint(save(s, &a, true, &blow, -EBADF), ==, 0);
        g_assert_true(blow.fell);
        g_assert_cmpint(restore(s, &b, &blow, -EBADF), ==, 0);
        g_assert_true(holds(s, TWIN, 99));

        fill(s, FORGETTING, 3);
        g_assert_cmpint(restore(s, &other, &blow, -EBADF), ==, -ERROR_DRIVER_REJECTED);
        g_assert_cmpint(state_of(&other), ==, DEVICE_RUNNING);
        g_assert_true(holds(s, FORGETTING, 0));
        state_device_close(&a);
        state_device_close(&b);
        state_device_close(&other);
}

static void test_cancel(void) {
        g_autoptr(Stand) s = stand_new();

        for (TransferPhase phase = 0; phase < TRANSFER_PHASE_MAX; phase++) {
                bool in = phase == TRANSFER_RESUMING;
                StateDevice device = must_open(s, KEEPING);
                Blow none = { .phase = TRANSFER_PHASE_INVALID }, blow = { .phase = phase };
                int ends[2], r;

                g_assert_cmpint(pipe2(ends, O_CLOEXEC), ==, 0);
                blow.cancel_fd = ends[1];
                fill(s, KEEPING, 21);
                g_assert_cmpint(sim_host_set_state_rate(&s->sim, 4U << 20), ==, 0);
                if (in)
                        g_assert_cmpint(save(s, &device, false, &none, -EBADF), ==, 0);
                r = in ? restore(s, &device, &blow, ends[0]) : save(s, &device, true, &blow, ends[0]);
                g_assert_true(blow.fell);
                g_assert_true(r == -ERROR_CANCELLED || r == -ECANCELED);
                g_assert_cmpint(state_of(&device), ==, DEVICE_RUNNING);
                g_assert_true(holds(s, KEEPING, in ? 0 : 21));
                state_device_close(&device);
                (void)close(ends[0]);
                (void)close(ends[1]);
        }
}

/* Reports come while a slow one goes on, which takes its time. */
static void test_rate(void) {
        g_autoptr(Stand) s = stand_new();
        StateDevice device = must_open(s, KEEPING);
        Blow blow = { .phase = TRANSFER_PHASE_INVALID };
        gint64 begin = g_get_monotonic_time();

        g_assert_cmpint(sim_host_set_state_rate(&s->sim, SIZE * 2), ==, 0);
        g_assert_cmpint(save(s, &device, false, &blow, -EBADF), ==, 0);
        g_assert_cmpint(g_get_monotonic_time() - begin, >=, G_USEC_PER_SEC / 2);
        g_assert_cmpuint(blow.n_reports, >=, 9);
        state_device_close(&device);
}

static void test_opening(void) {
        g_autoptr(Stand) s = stand_new();
        StateDevice device = must_open(s, KEEPING), other = STATE_DEVICE_NULL;
        g_autofree char *link = NULL, *node = NULL, *group = NULL;
        Error error = ERROR_NULL;
        int fd;

        g_assert_cmpint(device_open(s, KEEPING, &other), ==, -ERROR_IN_USE);
        state_device_close(&device);
        device = must_open(s, KEEPING);
        state_device_close(&device);

        /* By whoever else. */
        link = g_strdup_printf("%s/sys/bus/mdev/devices/" KEEPING "/iommu_group", s->root);
        group = g_file_read_link(link, NULL);
        node = g_strdup_printf("%s/dev/vfio/%s", s->root, strrchr(group, '/') + 1);
        fd = open(node, O_RDWR | O_CLOEXEC);
        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpint(device_open(s, KEEPING, &other), ==, -ERROR_IN_USE);
        (void)close(fd);
        device = must_open(s, KEEPING);
        state_device_close(&device);

        /* Its driver is none of VFIO's. */
        g_assert_cmpint(sim_host_plug(&s->sim, CARD, SIM_GPU_PLAIN, 0), ==, 0);
        g_assert_cmpint(state_device_open(&s->sim.host, "bus/pci/devices/" CARD, &other, &error), ==,
                        -ERROR_NOT_SUPPORTED);
}

static void test_fixed(void) {
        g_autoptr(Stand) s = stand_new();
        StateDevice device;
        Error error = ERROR_NULL;
        uint64_t value;

        g_assert_cmpint(sim_host_plug(&s->sim, NVIDIA, SIM_GPU_NVIDIA_MDEV, 4), ==, 0);
        g_assert_cmpint(s->sim.host.ops->run(&s->sim.host, (const char *const[]){ "/usr/lib/nvidia/sriov-manage", "-e",
                                                                                  NVIDIA, NULL }),
                        ==, 0);
        make_mdev(s, NVIDIA_FUNCTION, "nvidia-471", FIXED);
        device = must_open(s, FIXED);
        g_assert_cmpint(state_device_get_flags(&device, &value, &error), ==, -ERROR_NOT_SUPPORTED);
        g_assert_cmpint(state_device_get_size(&device, &value), ==, -ERROR_NOT_SUPPORTED);
        state_device_close(&device);

        device = must_open(s, MTTY);
        g_assert_cmpint(state_device_get_flags(&device, &value, &error), ==, 0);
        g_assert_cmpuint(value, ==, all_flags);
        g_assert_false(state_device_tracks_pages(&device));
        state_device_close(&device);
}

/* The order in which a device is opened by its group is the kernel's. */
static void test_nodes(void) {
        g_autoptr(Stand) s = stand_new();
        const Host *host = &s->sim.host;
        _cleanup_(fd_closep) int container = host->ops->open_node(host, "vfio/vfio", O_RDWR), group = -EBADF,
                                 device = -EBADF, node = open("/dev/null", O_RDWR | O_CLOEXEC);
        struct vfio_group_status status = { .argsz = sizeof(status) };
        void *const type1 = (void *)(uintptr_t)VFIO_TYPE1v2_IOMMU;
        char number[16], path[32], name[] = KEEPING, absent[] = FIXED;

        g_assert_cmpint(link_read_basename(host->sys_fd, "bus/mdev/devices/" KEEPING "/iommu_group", number,
                                           sizeof(number)),
                        >=, 0);
        (void)snprintf(path, sizeof(path), "vfio/%s", number);
        group = host->ops->open_node(host, path, O_RDWR);
        g_assert_cmpint(group, >=, 0);

#define CALL(fd, request, argument) host->ops->ioctl(host, fd, request, argument)
        g_assert_cmpint(CALL(group, VFIO_GROUP_GET_STATUS, &status), ==, 0);
        g_assert_cmpuint(status.flags, ==, VFIO_GROUP_FLAGS_VIABLE);
        g_assert_cmpint(CALL(container, VFIO_SET_IOMMU, type1), ==, -EINVAL);
        g_assert_cmpint(CALL(group, VFIO_GROUP_GET_DEVICE_FD, name), ==, -EINVAL);
        g_assert_cmpint(CALL(group, VFIO_GROUP_SET_CONTAINER, &node), ==, -EBADFD);
        g_assert_cmpint(CALL(group, VFIO_GROUP_SET_CONTAINER, &container), ==, 0);
        g_assert_cmpint(CALL(group, VFIO_GROUP_SET_CONTAINER, &container), ==, -EINVAL);
        g_assert_cmpint(CALL(group, VFIO_GROUP_GET_DEVICE_FD, name), ==, -EINVAL);
        g_assert_cmpint(CALL(container, VFIO_SET_IOMMU, (void *)(uintptr_t)VFIO_SPAPR_TCE_IOMMU), ==, -ENODEV);
        g_assert_cmpint(CALL(container, VFIO_SET_IOMMU, type1), ==, 0);
        g_assert_cmpint(CALL(container, VFIO_SET_IOMMU, type1), ==, -EINVAL);
        g_assert_cmpint(CALL(group, VFIO_GROUP_GET_DEVICE_FD, absent), ==, -ENODEV);
        device = CALL(group, VFIO_GROUP_GET_DEVICE_FD, name);
        g_assert_cmpint(device, >=, 0);
        g_assert_cmpint(CALL(group, VFIO_GROUP_GET_STATUS, &status), ==, 0);
        g_assert_cmpuint(status.flags, ==, VFIO_GROUP_FLAGS_VIABLE | VFIO_GROUP_FLAGS_CONTAINER_SET);
        g_assert_cmpint(CALL(device, VFIO_DEVICE_RESET, NULL), ==, 0);

        /* The card goes, and the device with it. */
        g_assert_cmpint(sim_host_unplug(&s->sim, GPU), ==, 0);
        g_assert_cmpint(CALL(device, VFIO_DEVICE_RESET, NULL), ==, -ENODEV);
#undef CALL
}

static bool saves(DeviceState state) {
        return state == DEVICE_STOP_COPY || state == DEVICE_PRE_COPY || state == DEVICE_PRE_COPY_P2P;
}

/* All that a session gives until it stops: 0 at its end. */
static ssize_t drain(StateDevice *device, GByteArray *to) {
        const Host *host = device->host;
        uint8_t buffer[50000];
        ssize_t n;

        while ((n = host->ops->read_data(host, device->data_fd, buffer, sizeof(buffer))) > 0)
                g_byte_array_append(to, buffer, (guint)n);
        return n;
}

static ssize_t pour(StateDevice *device, const uint8_t *data, size_t size) {
        for (size_t i = 0; i < size;) {
                ssize_t n = device->host->ops->write_data(device->host, device->data_fd, data + i,
                                                          MIN(size - i, (size_t)7777));

                if (n <= 0)
                        return n < 0 ? n : -EIO;
                i += (size_t)n;
        }

        return 0;
}

static void enter(StateDevice *device, DeviceState state, const GByteArray *image) {
        Error error = ERROR_NULL;

        g_assert_cmpint(state_device_reset(device, &error), ==, 0);
        if (state == DEVICE_ERROR) {
                g_assert_cmpint(state_device_set_state(device, DEVICE_RESUMING, &error), ==, 0);
                g_assert_cmpint(state_device_set_state(device, DEVICE_STOP, &error), ==, -ERROR_DRIVER_REJECTED);
        } else
                g_assert_cmpint(state_device_set_state(device, state, &error), ==, 0);
        if (state == DEVICE_RESUMING)
                g_assert_cmpint(pour(device, image->data, image->len), ==, 0);
        g_assert_cmpint(state_of(device), ==, state);
}

static GByteArray *take_image(StateDevice *device) {
        GByteArray *image = g_byte_array_new();

        g_assert_cmpint(state_device_set_state(device, DEVICE_STOP_COPY, NULL), ==, 0);
        g_assert_cmpint(drain(device, image), ==, 0);
        g_assert_cmpint(state_device_set_state(device, DEVICE_RUNNING, NULL), ==, 0);
        return image;
}

/* All steps between two states, against the table of Linux's UAPI. */
static void test_arcs(void) {
        g_autoptr(Stand) s = stand_new();
        StateDevice device = must_open(s, KEEPING);
        g_autoptr(GByteArray) image = take_image(&device);

        for (DeviceState from = DEVICE_ERROR; from < DEVICE_STATE_MAX; from++)
                for (DeviceState to = DEVICE_ERROR; to < DEVICE_STATE_MAX; to++) {
                        bool good = from != DEVICE_ERROR && to != DEVICE_ERROR &&
                                    (from != DEVICE_STOP_COPY || !saves(to) || to == from);
                        bool begins = saves(to) ? !saves(from) : to == DEVICE_RESUMING && from != to;
                        struct {
                                uint32_t argsz, flags, state;
                                int32_t fd;
                        } args = { sizeof(args), VFIO_DEVICE_FEATURE_SET | 2, (uint32_t)to, 77 };
                        int r;

                        enter(&device, from, image);
                        r = device.host->ops->ioctl(device.host, device.device_fd, VFIO_DEVICE_FEATURE, &args);
                        g_test_message("%s to %s", device_state_to_string(from), device_state_to_string(to));
                        g_assert_cmpint(r, ==, good ? 0 : -EINVAL);
                        g_assert_cmpint(state_of(&device), ==, good ? to : from);
                        g_assert_true((args.fd >= 0) == (good && begins));
                        if (args.fd >= 0)
                                (void)close(args.fd);
                }
        state_device_close(&device);
}

static void test_descriptors(void) {
        g_autoptr(Stand) s = stand_new();
        StateDevice device = must_open(s, KEEPING);
        g_autoptr(GByteArray) image = g_byte_array_new();
        const Host *host = device.host;
        uint64_t initial, dirty, size, left;
        int outlived;
        char byte = 0;

        fill(s, KEEPING, 40);
        g_assert_cmpint(state_device_get_size(&device, &size), ==, 0);
        g_assert_cmpint(state_device_set_state(&device, DEVICE_PRE_COPY, NULL), ==, 0);
        g_assert_cmpint(state_device_get_precopy(&device, &initial, &dirty), ==, 0);
        g_assert_cmpuint(initial, >=, SIZE);
        g_assert_cmpuint(dirty, ==, 0);
        g_assert_cmpint(drain(&device, image), ==, -ENOMSG);
        g_assert_cmpuint(image->len, ==, initial);
        fill(s, KEEPING, 41);
        g_assert_cmpint(state_device_get_precopy(&device, &initial, &dirty), ==, 0);
        g_assert_cmpuint(initial, ==, 0);
        g_assert_cmpuint(dirty, >=, SIZE);
        g_assert_cmpint(host->ops->write_data(host, device.data_fd, &byte, 1), ==, -EBADF);

        g_assert_cmpint(state_device_set_state(&device, DEVICE_STOP_COPY, NULL), ==, 0);
        g_assert_cmpint(state_device_get_precopy(&device, &initial, &dirty), ==, -EINVAL);
        g_assert_cmpint(state_device_get_size(&device, &left), ==, 0);
        g_assert_cmpuint(left, >=, dirty);
        g_assert_cmpint(drain(&device, image), ==, 0);
        g_assert_cmpuint(image->len, >, size);
        outlived = fcntl(device.data_fd, F_DUPFD_CLOEXEC, 0);
        g_assert_cmpint(state_device_set_state(&device, DEVICE_RUNNING, NULL), ==, 0);
        g_assert_cmpint(host->ops->read_data(host, outlived, &byte, 1), ==, -ENODEV);
        (void)close(outlived);

        g_assert_cmpint(state_device_set_state(&device, DEVICE_RESUMING, NULL), ==, 0);
        g_assert_cmpint(host->ops->ioctl(host, device.data_fd, GET_PRECOPY_INFO, &initial), ==, -ENOTTY);
        g_assert_cmpint(host->ops->read_data(host, device.data_fd, &byte, 1), ==, -EBADF);
        fill(s, KEEPING, 42);
        g_assert_cmpint(pour(&device, image->data, image->len), ==, 0);
        g_assert_true(holds(s, KEEPING, 42)); /* until all of it has been looked at */
        g_assert_cmpint(state_device_set_state(&device, DEVICE_RUNNING, NULL), ==, 0);
        g_assert_true(holds(s, KEEPING, 41));
        state_device_close(&device);
}

/* Whatever is not the stream that was given is refused, and nothing of it stays. */
static void test_damage(void) {
        g_autoptr(Stand) s = stand_new();
        StateDevice device = must_open(s, KEEPING);
        g_autoptr(GByteArray) image = NULL;

        fill(s, KEEPING, 11);
        image = take_image(&device);
        for (guint i = 0; i < image->len + 2; i += i < 200 || i + 200 > image->len ? 1 : 3001) {
                size_t n = image->len;
                int r;

                g_assert_cmpint(state_device_set_state(&device, DEVICE_RESUMING, NULL), ==, 0);
                if (i < image->len)
                        image->data[i] ^= 0x20;
                else
                        n -= i + 1 - image->len; /* cut off by one, or two */
                r = (int)pour(&device, image->data, n);
                g_assert_cmpint(r, ==, i < image->len ? -EINVAL : 0);
                g_assert_cmpint(state_device_set_state(&device, DEVICE_STOP, NULL), ==, -ERROR_DRIVER_REJECTED);
                g_assert_cmpint(state_of(&device), ==, DEVICE_ERROR);
                g_assert_cmpint(state_device_reset(&device, NULL), ==, 0);
                g_assert_true(holds(s, KEEPING, 0));
                if (i < image->len)
                        image->data[i] ^= 0x20;
        }

        /* Nor does anything follow the end. */
        g_assert_cmpint(state_device_set_state(&device, DEVICE_RESUMING, NULL), ==, 0);
        g_assert_cmpint(pour(&device, image->data, image->len), ==, 0);
        g_assert_cmpint(pour(&device, image->data, 1), ==, -EINVAL);
        g_assert_cmpint(state_device_set_state(&device, DEVICE_RUNNING, NULL), ==, -ERROR_DRIVER_REJECTED);
        state_device_close(&device);
}

/* What is left for the next one, of one who was killed. */
static void kill_in(Stand *s, const char *uuid, DeviceState state) {
        int status = 0;
        pid_t pid;

        pid = fork();
        if (pid == 0) {
                StateDevice device = STATE_DEVICE_NULL;

                if (device_open(s, uuid, &device) >= 0 && state_device_set_state(&device, state, NULL) >= 0)
                        (void)raise(SIGKILL);
                _exit(0);
        }
        g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
        g_assert_true(WIFSIGNALED(status));
}

static void test_keeping(void) {
        static const struct {
                const char *uuid;
                DeviceState killed, found;
                bool kept;
        } cases[] = {
                { KEEPING, DEVICE_RUNNING, DEVICE_RUNNING, true },
                { KEEPING, DEVICE_STOP, DEVICE_RUNNING, true },
                { KEEPING, DEVICE_PRE_COPY, DEVICE_RUNNING, true },
                { KEEPING, DEVICE_RESUMING, DEVICE_RUNNING, false },
                { FORGETTING, DEVICE_RUNNING, DEVICE_RUNNING, false },
                { FORGETTING, DEVICE_STOP_COPY, DEVICE_RUNNING, false },
                { MTTY, DEVICE_RUNNING, DEVICE_RUNNING, true },
                { MTTY, DEVICE_STOP, DEVICE_STOP, true },
                { MTTY, DEVICE_RESUMING, DEVICE_RESUMING, true },
        };
        g_autoptr(Stand) s = stand_new();

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                StateDevice device;

                fill(s, cases[i].uuid, 60);
                kill_in(s, cases[i].uuid, cases[i].killed);
                device = must_open(s, cases[i].uuid);
                g_assert_cmpint(state_of(&device), ==, cases[i].found);
                g_assert_true(holds(s, cases[i].uuid, cases[i].kept ? 60 : 0));
                g_assert_cmpint(state_device_settle(&device, NULL), >=, 0);
                g_assert_cmpint(state_of(&device), ==, DEVICE_RUNNING);
                state_device_close(&device);
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);

        g_test_add_func("/state-sim/there-and-back", test_there_and_back);
        g_test_add_func("/state-sim/move", test_move);
        g_test_add_func("/state-sim/cancel", test_cancel);
        g_test_add_func("/state-sim/rate", test_rate);
        g_test_add_func("/state-sim/opening", test_opening);
        g_test_add_func("/state-sim/fixed", test_fixed);
        g_test_add_func("/state-sim/nodes", test_nodes);
        g_test_add_func("/state-sim/arcs", test_arcs);
        g_test_add_func("/state-sim/descriptors", test_descriptors);
        g_test_add_func("/state-sim/damage", test_damage);
        g_test_add_func("/state-sim/keeping", test_keeping);
        return g_test_run();
}
