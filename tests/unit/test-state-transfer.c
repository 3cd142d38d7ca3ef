/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Transfers with a model of a VFIO device, which follows the kernel's table of arcs as far as these go. That of real drivers is
 * tried in the virtual machine.
 */

#include <fcntl.h>
#include <linux/vfio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "state/transfer.h"

#include <glib.h>

#define UUID_1 "11111111-1111-4111-8111-111111111111"
#define PATH "bus/mdev/devices/" UUID_1

/* How a state begins that the model's driver takes. */
#define GOOD 0xaa

/* VFIO_DEVICE_FEATURE's argument, of which all that is used here is 8 bytes. */
typedef struct Feature {
        uint32_t argsz, flags;
        union {
                uint64_t number;
                struct {
                        uint32_t state;
                        int32_t fd;
                } state;
        } value;
} Feature;

static struct {
        DeviceState state;
        uint64_t flags;
        int held; /* the group is somebody's */
        int refuse; /* a state that is refused */
        bool gets_stuck; /* and left as ERROR by that */
        bool cannot_reset;
        uint8_t content[4096];
        size_t n_content;
        int incoming; /* what is being written to RESUMING */
        unsigned n_resets;
} model;

static int memory_file(void) {
        int fd = memfd_create("model", MFD_CLOEXEC);

        g_assert_cmpint(fd, >=, 0);
        return fd;
}

static int model_open(const Host *host, const char *path, int flags) {
        if (streq(path, "vfio/12") && model.held != 0)
                return model.held;
        return streq(path, "vfio/12") || streq(path, "vfio/vfio") ? memory_file() : -ENOENT;
}

/* The driver takes what was written, or refuses it and stays where it is. */
static int model_take(void) {
        struct stat st;

        g_assert_cmpint(fstat(model.incoming, &st), ==, 0);
        if (st.st_size == 0 || st.st_size > (off_t)sizeof(model.content))
                return -EINVAL;
        model.n_content = (size_t)st.st_size;
        g_assert_cmpint(pread(model.incoming, model.content, model.n_content, 0), ==, st.st_size);
        return model.content[0] == GOOD ? 0 : -EINVAL;
}

static int model_set(Feature *feature) {
        DeviceState wanted = (DeviceState)feature->value.state.state;
        int r = 0;

        feature->value.state.fd = -1;
        if ((int)wanted == model.refuse) {
                if (model.gets_stuck)
                        model.state = DEVICE_ERROR;
                return -EIO;
        }
        if (model.state == DEVICE_ERROR)
                return -EINVAL;

        if (wanted == DEVICE_STOP_COPY || wanted == DEVICE_PRE_COPY) {
                if (model.state != DEVICE_PRE_COPY || wanted == DEVICE_PRE_COPY) {
                        feature->value.state.fd = memory_file();
                        g_assert_cmpint(write(feature->value.state.fd, model.content, model.n_content), ==,
                                        (ssize_t)model.n_content);
                        g_assert_cmpint(lseek(feature->value.state.fd, 0, SEEK_SET), ==, 0);
                }
        } else if (wanted == DEVICE_RESUMING) {
                model.incoming = memory_file();
                feature->value.state.fd = dup(model.incoming);
        } else if (model.state == DEVICE_RESUMING) {
                r = model_take();
                if (r >= 0)
                        model.incoming = fd_close(model.incoming);
        }
        if (r >= 0)
                model.state = wanted;
        return r;
}

static int model_feature(Feature *feature) {
        switch (feature->flags & 0xffff) {
        case 1:
                feature->value.number = model.flags;
                return model.flags == 0 ? -ENOTTY : 0;
        case 2:
                if (feature->flags & VFIO_DEVICE_FEATURE_SET)
                        return model_set(feature);
                feature->value.state.state = (uint32_t)model.state;
                return 0;
        case 9:
                feature->value.number = model.n_content;
                return 0;
        default:
                return -ENOTTY;
        }
}

static int model_ioctl(const Host *host, int fd, unsigned long request, void *argument) {
        switch (request) {
        case VFIO_GROUP_GET_STATUS:
                ((struct vfio_group_status *)argument)->flags = VFIO_GROUP_FLAGS_VIABLE;
                return 0;
        case VFIO_GROUP_SET_CONTAINER:
        case VFIO_SET_IOMMU:
                return 0;
        case VFIO_GROUP_GET_DEVICE_FD:
                g_assert_cmpstr(argument, ==, UUID_1);
                return memory_file();
        case VFIO_DEVICE_FEATURE:
                return model_feature(argument);
        case VFIO_DEVICE_RESET:
                model.n_resets++;
                if (model.cannot_reset)
                        return -EIO;
                model.state = DEVICE_RUNNING;
                return 0;
        default:
                return -ENOTTY;
        }
}

static ssize_t model_read(const Host *host, int fd, void *buffer, size_t size) {
        ssize_t n = read(fd, buffer, size);

        return n < 0 ? -errno : n;
}

static ssize_t model_write(const Host *host, int fd, const void *data, size_t size) {
        ssize_t n = write(fd, data, size);

        return n < 0 ? -errno : n;
}

static const HostOps model_ops = {
        .open_node = model_open,
        .ioctl = model_ioctl,
        .read_data = model_read,
        .write_data = model_write,
};

typedef struct Stand {
        char *dir;
        Host host;
        int image; /* a file */
} Stand;

static void stand_new(Stand *s) {
        g_autofree char *device = NULL, *dev = NULL;

        s->dir = g_dir_make_tmp("state-XXXXXX", NULL);
        device = g_strdup_printf("%s/sys/" PATH, s->dir);
        dev = g_strdup_printf("%s/dev", s->dir);
        g_assert_cmpint(g_mkdir_with_parents(device, 0700), ==, 0);
        g_assert_cmpint(g_mkdir_with_parents(dev, 0700), ==, 0);
        s->host = (Host){ .ops = &model_ops, .sys_fd = -EBADF, .dev_fd = open(dev, O_PATH | O_CLOEXEC) };
        s->host.sys_fd = openat(s->host.dev_fd, "../sys", O_DIRECTORY | O_CLOEXEC);
        g_assert_cmpint(symlinkat("../../../kernel/iommu_groups/12", s->host.sys_fd, PATH "/iommu_group"), ==, 0);
        s->image = memory_file();

        memset(&model, 0, sizeof(model));
        model.state = DEVICE_RUNNING;
        model.flags = DEVICE_CAN_STOP_COPY | DEVICE_CAN_P2P;
        model.refuse = -1;
        model.n_content = 1000;
        for (size_t i = 0; i < model.n_content; i++)
                model.content[i] = i == 0 ? GOOD : (uint8_t)i;
}

static void stand_done(Stand *s) {
        g_autofree char *command = g_strdup_printf("rm -r '%s'", s->dir);

        (void)close(s->host.sys_fd);
        (void)close(s->host.dev_fd);
        (void)close(s->image);
        g_assert_cmpint(system(command), ==, 0);
        g_free(s->dir);
}

static void fill_header(ImageHeader *h) {
        image_header_init(h);
        strcpy(h->uuid, UUID_1);
        strcpy(h->backend, "mdev");
        strcpy(h->driver, "model");
        strcpy(h->type.id, "model-1");
}

static void on_progress(const TransferProgress *progress, void *userdata) {
        ++*(unsigned *)userdata;
}

static int save(Stand *s, bool precopy, int fd, int cancel_fd, Error *error) {
        _cleanup_(image_writer_freep) ImageWriter *writer = NULL;
        unsigned n_reports = 0;
        const TransferOptions options = { .precopy = precopy, .progress = on_progress, .userdata = &n_reports };
        StateDevice device = STATE_DEVICE_NULL;
        TransferProgress progress;
        ImageHeader header;
        Stream stream;
        int r;

        *error = ERROR_NULL;
        r = state_device_open(&s->host, PATH, &device, error);
        if (r < 0)
                return r;
        fill_header(&header);
        g_assert_cmpint(stream_init(&stream, fd, cancel_fd, STREAM_STALL_USEC), ==, 0);
        r = image_writer_new(&stream, &header, &writer, error);
        image_header_done(&header);
        if (r >= 0)
                r = transfer_save(&device, writer, &stream, &options, &progress, error);
        if (r >= 0) {
                g_assert_cmpuint(progress.n_bytes, >=, model.n_content);
                g_assert_cmpuint(progress.total, ==, model.n_content);
                g_assert_cmpuint(n_reports, >, 0);
                g_assert_true(progress.was_reset == (model.n_resets > 0));
        }
        state_device_close(&device);
        return r;
}

static int restore(Stand *s, Error *error) {
        _cleanup_(image_reader_freep) ImageReader *reader = NULL;
        const TransferOptions options = {};
        StateDevice device = STATE_DEVICE_NULL;
        TransferProgress progress;
        Stream stream;
        int r;

        *error = ERROR_NULL;
        g_assert_cmpint(lseek(s->image, 0, SEEK_SET), ==, 0);
        g_assert_cmpint(stream_init(&stream, s->image, -EBADF, STREAM_STALL_USEC), ==, 0);
        r = image_reader_new(&stream, &reader, error);
        if (r >= 0)
                r = state_device_open(&s->host, PATH, &device, error);
        if (r < 0)
                return r;
        r = transfer_restore(&device, reader, &options, &progress, error);
        state_device_close(&device);
        return r;
}

static void test_there_and_back(void) {
        for (unsigned precopy = 0; precopy < 2; precopy++) {
                uint8_t before[sizeof(model.content)];
                Error error;
                Stand s;

                stand_new(&s);
                model.flags |= precopy ? DEVICE_CAN_PRE_COPY : 0U;
                memcpy(before, model.content, sizeof(before));
                g_assert_cmpint(save(&s, precopy, s.image, -EBADF, &error), ==, 0);
                g_assert_cmpint(model.state, ==, DEVICE_RUNNING);
                g_assert_cmpuint(model.n_resets, ==, 0);

                memset(model.content, 0, sizeof(model.content));
                g_assert_cmpint(restore(&s, &error), ==, 0);
                g_assert_cmpint(model.state, ==, DEVICE_RUNNING);
                g_assert_cmpmem(model.content, model.n_content, before, 1000);
                stand_done(&s);
        }
}

/* Whatever goes wrong, the device runs afterwards. */
static void test_save_fails(void) {
        static const struct {
                int refuse;
                bool gets_stuck, empty, cancelled, full;
                uint64_t flags;
                int held, code;
                unsigned n_resets;
                const char *part;
        } cases[] = {
                { .refuse = DEVICE_STOP_COPY, .flags = 1, .code = -EPROTO, .part = "refuses the step to 'stop-copy'" },
                { .refuse = DEVICE_STOP_COPY,
                  .gets_stuck = true,
                  .flags = 1,
                  .code = -EPROTO,
                  .n_resets = 1,
                  .part = "it was reset, and what it held is gone" },
                { .refuse = DEVICE_PRE_COPY, .flags = 5, .code = -EPROTO, .part = "'pre-copy'" },
                { .refuse = DEVICE_RUNNING, .flags = 1, .n_resets = 1, .part = "" },
                { .refuse = -1, .empty = true, .flags = 1, .code = -EOPNOTSUPP, .part = "empty state" },
                { .refuse = -1, .cancelled = true, .flags = 1, .code = -ECANCELED, .part = "cancelled" },
                { .refuse = -1, .full = true, .flags = 1, .code = -EIO, .part = "No space left" },
                { .refuse = -1, .flags = 0, .code = -EOPNOTSUPP, .part = "gives no state" },
                { .refuse = -1, .flags = 2, .code = -EOPNOTSUPP, .part = "gives no state" },
                { .refuse = -1, .flags = 1, .held = -EBUSY, .code = -ETXTBSY, .part = "in use" },
                { .refuse = -1, .flags = 1, .held = -ENOENT, .code = -EOPNOTSUPP, .part = "has no VFIO device" },
                { .refuse = -1, .flags = 1, .held = -EACCES, .code = -EIO, .part = "cannot be opened" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(fd_closep) int full = cases[i].full ? open("/dev/full", O_WRONLY | O_CLOEXEC) : -EBADF;
                int cancel[2];
                Error error;
                Stand s;

                stand_new(&s);
                g_assert_cmpint(pipe2(cancel, O_CLOEXEC), ==, 0);
                model.refuse = cases[i].refuse;
                model.gets_stuck = cases[i].gets_stuck;
                model.flags = cases[i].flags;
                model.held = cases[i].held;
                if (cases[i].empty)
                        model.n_content = 0;
                if (cases[i].cancelled)
                        (void)close(cancel[1]);
                g_assert_cmpint(save(&s, /* precopy= */ true, cases[i].full ? full : s.image, cancel[0], &error), ==,
                                cases[i].code);
                if (!strstr(error.message, cases[i].part))
                        g_error("%s", error.message);
                g_assert_cmpint(model.state, ==, DEVICE_RUNNING);
                g_assert_cmpuint(model.n_resets, ==, cases[i].n_resets);
                (void)close(cancel[0]);
                if (!cases[i].cancelled)
                        (void)close(cancel[1]);
                stand_done(&s);
        }
}

/* And if it does not run, that is said. */
static void test_not_put_back(void) {
        Error error;
        Stand s;

        stand_new(&s);
        model.refuse = DEVICE_STOP_COPY;
        model.gets_stuck = model.cannot_reset = true;
        g_assert_cmpint(save(&s, false, s.image, -EBADF, &error), ==, -EPROTO);
        g_assert_nonnull(strstr(error.message, "'stop-copy'"));
        g_assert_nonnull(strstr(error.message, "does not run now"));
        stand_done(&s);
}

/* A state that the driver refuses, one that is cut off, and one that is damaged behind its header. */
static void test_restore_fails(void) {
        for (unsigned i = 0; i < 3; i++) {
                Error error;
                off_t size;
                Stand s;

                stand_new(&s);
                model.content[0] = i == 0 ? 0 : GOOD;
                g_assert_cmpint(save(&s, false, s.image, -EBADF, &error), ==, 0);
                size = lseek(s.image, 0, SEEK_END);
                if (i == 1)
                        g_assert_cmpint(ftruncate(s.image, size - 1), ==, 0);
                if (i == 2)
                        g_assert_cmpint(pwrite(s.image, "x", 1, size - 100), ==, 1);
                g_assert_cmpint(restore(&s, &error), ==, i == 0 ? -EPROTO : -EILSEQ);
                g_assert_cmpint(model.state, ==, DEVICE_RUNNING);
                g_assert_cmpuint(model.n_resets, ==, 1);
                model.incoming = fd_close(model.incoming);
                stand_done(&s);
        }
}

/* Left by whoever had it before: what is in it is saved, but not what a reset leaves. */
static void test_left_behind(void) {
        static const struct {
                DeviceState state;
                int code;
        } cases[] = {
                { DEVICE_STOP, 0 },        { DEVICE_STOP_COPY, 0 },      { DEVICE_PRE_COPY, 0 },
                { DEVICE_ERROR, -EPROTO }, { DEVICE_RESUMING, -EPROTO },
        };

        for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
                Error error;
                Stand s;

                stand_new(&s);
                model.state = cases[i].state;
                g_assert_cmpint(save(&s, false, s.image, -EBADF, &error), ==, cases[i].code);
                g_assert_cmpint(model.state, ==, DEVICE_RUNNING);
                g_assert_cmpuint(model.n_resets, ==, cases[i].code == 0 ? 0 : 1);
                g_assert_true((lseek(s.image, 0, SEEK_END) > 1000) == (cases[i].code == 0));
                stand_done(&s);
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);

        g_test_add_func("/state-transfer/there-and-back", test_there_and_back);
        g_test_add_func("/state-transfer/save-fails", test_save_fails);
        g_test_add_func("/state-transfer/not-put-back", test_not_put_back);
        g_test_add_func("/state-transfer/restore-fails", test_restore_fails);
        g_test_add_func("/state-transfer/left-behind", test_left_behind);
        return g_test_run();
}
