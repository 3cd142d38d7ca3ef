/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include "backend/users.h"
#include "state/transfer.h"
#include "util/text.h"
#include "worker/state-store.h"
#include "worker/state-work.h"

/* People look at it, and whoever watches that the worker lives. */
#define TELL_INTERVAL_USEC UINT64_C(100000)

struct StateWork {
        BackendContext *c;
        Stream stream;
        int fd, cancel_fd; /* the stream's */
        bool in_store; /* nothing stands in the file behind the image */
        StateFile file; /* that is being written */
        ImageReader *reader;
        TransferProgress progress; /* as it was last */
        uint64_t told_usec; /* CLOCK_MONOTONIC */
};

static uint64_t now_usec(clockid_t clock) {
        struct timespec ts;

        (void)clock_gettime(clock, &ts);
        return (uint64_t)ts.tv_sec * 1000000U + (uint64_t)ts.tv_nsec / 1000U;
}

StateWork *state_work_free(StateWork *work) {
        if (!work)
                return NULL;

        image_reader_free(work->reader);
        state_file_done(&work->file);
        fd_close(work->fd);
        fd_close(work->cancel_fd);
        free(work);
        return NULL;
}
DEFINE_CLEANUP(StateWork *, state_work_free)

static void tell(StateWork *work) {
        const WorkerEvent event = { .kind = WORKER_EVENT_PROGRESS, .progress = work->progress };

        work->told_usec = now_usec(CLOCK_MONOTONIC);
        if (work->c->tell)
                work->c->tell(&event, work->c->tell_userdata);
}

/* The stream has moved, if only a little: also of a frame that goes to a slow peer something is told. */
static int on_moved(Stream *stream, void *userdata) {
        StateWork *work = userdata;
        int r;

        r = work->file.fd >= 0 ? state_file_moved(stream, &work->file) : 0;
        if (r >= 0 && now_usec(CLOCK_MONOTONIC) - work->told_usec >= TELL_INTERVAL_USEC)
                tell(work);
        return r;
}

/* All that has moved is to be seen, and that nothing does any more. */
static void on_quiet(Stream *stream, void *userdata) {
        tell(userdata);
}

static void on_progress(const TransferProgress *progress, void *userdata) {
        StateWork *work = userdata;
        bool turns = progress->phase != work->progress.phase;

        work->progress = *progress;
        /* While the device stands, what can wait does. */
        work->file.early = progress->phase == TRANSFER_PRE_COPY;
        if (turns || now_usec(CLOCK_MONOTONIC) - work->told_usec >= TELL_INTERVAL_USEC)
                tell(work);
}

static int work_new(BackendContext *c, const Job *job, StateWork **ret_work) {
        _cleanup_(state_work_freep) StateWork *work = NULL;

        work = calloc(1, sizeof(StateWork));
        if (!work)
                return -ENOMEM;

        work->c = c;
        work->fd = work->cancel_fd = -EBADF;
        work->file = STATE_FILE_NULL;
        work->progress = (TransferProgress){ .total = UNKNOWN_U64, .dirty = UNKNOWN_U64 };
        work->cancel_fd = fcntl(job->fds[0], F_DUPFD_CLOEXEC, 0);
        if (work->cancel_fd < 0)
                return negative_errno();

        *ret_work = TAKE(work);
        return 0;
}

static int begin_stream(StateWork *work, int fd, Error *error) {
        int r;

        r = stream_init(&work->stream, fd, work->cancel_fd, STREAM_STALL_USEC);
        if (r < 0)
                return error_set(error, -ERROR_INVALID_ARGUMENT,
                                 "The descriptor is no file, pipe or socket that bytes go through: %s",
                                 strerrordesc_np(-r) ?: "unknown error");

        work->stream.moved = on_moved;
        work->stream.quiet = on_quiet;
        work->stream.userdata = work;
        return 0;
}

static int open_stream(StateWork *work, const Job *job, int direction, Error *error) {
        int flags, mode;

        work->fd = fcntl(job->fds[1], F_DUPFD_CLOEXEC, 0);
        if (work->fd < 0)
                return error_set_errno(error, negative_errno(), "the descriptor cannot be kept");

        flags = fcntl(work->fd, F_GETFL);
        mode = flags & O_ACCMODE;
        if (flags < 0 || (flags & O_PATH) || (mode != O_RDWR && mode != direction))
                return error_set(error, -ERROR_INVALID_ARGUMENT, "The descriptor is not open for %s",
                                 direction == O_WRONLY ? "writing" : "reading");
        return begin_stream(work, work->fd, error);
}

static void device_path(const Job *job, char *buffer, size_t size) {
        if (job->vgpu_kind == VGPU_MDEV)
                (void)snprintf(buffer, size, "bus/mdev/devices/%s", job->uuid);
        else
                (void)snprintf(buffer, size, "bus/pci/devices/%s", job->parent);
}

/* Who has it is told by name, where that can be seen; and if nobody can be seen, opening it fails all the same. */
static int open_device(const BackendContext *c, const Job *job, StateDevice *ret_device, Error *error) {
        char path[SYSFS_NAME_SIZE + 32], text[320];
        Error why = ERROR_NULL;
        User *users = NULL;
        size_t n_users = 0;
        int r;

        device_path(job, path, sizeof(path));
        r = users_find(c->host, path, job->iommu_group, &users, &n_users);
        if (r >= 0 && n_users > 0) {
                users_describe(users, n_users, text, sizeof(text));
                r = error_set(error, -ERROR_IN_USE, "vGPU %s is in use by %s", job->uuid, text);
        } else
                r = state_device_open(c->host, path, ret_device, &why);
        free(users);
        if (r >= 0 || r == -ERROR_IN_USE)
                return r >= 0 || n_users > 0 ? r : error_set(error, r, "%s", why.message);

        return error_set(error, r == -ERROR_NOT_SUPPORTED ? r : -ERROR_DRIVER_REJECTED, "%s", why.message);
}

/* What only the device can say of itself. */
static int ask_device(StateDevice *device, ImageHeader *header, Error *error) {
        int r;

        r = state_device_get_flags(device, &header->migration_flags, error);
        if (r >= 0 && !(header->migration_flags & DEVICE_CAN_STOP_COPY))
                r = error_set(error, -ERROR_NOT_SUPPORTED, "The driver of vGPU %s gives no state", device->name);
        if (r < 0)
                return r;

        header->created_usec = now_usec(CLOCK_REALTIME);
        if (state_device_get_size(device, &header->size) < 0)
                header->size = UNKNOWN_U64;
        return 0;
}

/* Whatever it says: it is closed now, and some drivers have a device run again by that. */
static int check_stopped(const BackendContext *c, const Job *job, Error *error) {
        StateDevice device = STATE_DEVICE_NULL;
        DeviceState state = DEVICE_RUNNING;
        int r;

        r = open_device(c, job, &device, error);
        if (r >= 0)
                r = state_device_get_state(&device, &state, error);
        state_device_close(&device);
        if (r >= 0 && state != DEVICE_STOP)
                r = error_set(error, -ERROR_NOT_SUPPORTED,
                              "The state of vGPU %s is saved, but it does not stay stopped: its driver has it in state "
                              "'%s' again once it is closed",
                              job->uuid, device_state_to_string(state));
        return r;
}

/* The vGPU may be destroyed next: then a file is all that there is of its state. */
static int sync_target(const StateWork *work, Error *error) {
        if (work->stream.is_socket || work->stream.is_pipe || fsync(work->stream.fd) >= 0 || errno == EINVAL)
                return 0;

        return error_set(error, -EIO, "The state cannot be written for good: %s",
                         strerrordesc_np(errno) ?: "unknown error");
}

static int copy_out(StateWork *work, StateDevice *device, const Job *job, const ImageHeader *header, JobResult *result) {
        const TransferOptions options = {
                .precopy = job->precopy,
                .stay_stopped = job->stay_stopped,
                .progress = on_progress,
                .userdata = work,
        };
        _cleanup_(image_writer_freep) ImageWriter *writer = NULL;
        int r;

        r = image_writer_new(&work->stream, header, &writer, &result->error);
        if (r >= 0)
                r = transfer_save(device, writer, &work->stream, &options, &result->progress, &result->error);
        if (r < 0)
                return r;

        tell(work);
        r = work->in_store ? state_file_commit(&work->file, &result->error) : sync_target(work, &result->error);
        /* It was left as one does that has been saved. */
        if (r < 0 && job->stay_stopped)
                (void)state_device_settle(device, NULL);
        return r;
}

static int open_target(StateWork *work, const Job *job, Error *error) {
        int r;

        work->in_store = job->state_name[0] != '\0';
        if (!work->in_store)
                return open_stream(work, job, O_WRONLY, error);

        r = state_file_create(work->c->host, job, &work->file, error);
        return r < 0 ? r : begin_stream(work, work->file.fd, error);
}

static int save(StateWork *work, StateDevice *device, const Job *job, JobResult *result) {
        ImageHeader header = *job->header;
        int r;

        r = ask_device(device, &header, &result->error);
        if (r >= 0)
                r = open_target(work, job, &result->error);
        if (r < 0)
                return r;

        /* From here on it has begun for whoever asked. */
        work->progress.total = header.size;
        tell(work);
        return copy_out(work, device, job, &header, result);
}

int state_work_save(BackendContext *c, const Job *job, JobResult *result) {
        _cleanup_(state_work_freep) StateWork *work = NULL;
        StateDevice device = STATE_DEVICE_NULL;
        int r;

        r = work_new(c, job, &work);
        if (r < 0)
                return r;

        r = open_device(c, job, &device, &result->error);
        if (r >= 0)
                r = save(work, &device, job, result);
        state_device_close(&device);
        return r >= 0 && job->stay_stopped ? check_stopped(c, job, &result->error) : r;
}

static int take_header(StateWork *work, JobResult *result) {
        const ImageHeader *header = image_reader_get_header(work->reader);
        int r;

        result->header = calloc(1, sizeof(ImageHeader));
        if (!result->header)
                return -ENOMEM;

        *result->header = *header;
        result->header->facts = (Facts){};
        result->header->attributes = (Attributes){};
        for (size_t i = 0; i < header->facts.n; i++) {
                const Fact *f = &header->facts.items[i];

                r = facts_add(&result->header->facts, f->key, f->kind, f->number, f->text);
                if (r < 0)
                        return r;
        }
        return attributes_copy(&header->attributes, &result->header->attributes);
}

int state_work_open(BackendContext *c, const Job *job, JobResult *result) {
        _cleanup_(state_work_freep) StateWork *work = NULL;
        int r;

        r = work_new(c, job, &work);
        if (r < 0)
                return r;

        work->progress.phase = TRANSFER_RESUMING;
        work->in_store = job->state_name[0] != '\0';
        if (work->in_store) {
                r = state_store_open(c->host, job->state_name, &work->fd, &result->error);
                if (r >= 0)
                        r = begin_stream(work, work->fd, &result->error);
        } else
                r = open_stream(work, job, O_RDONLY, &result->error);
        /* It has begun for whoever asked: it may be long before something comes. */
        if (r >= 0 && !work->in_store)
                tell(work);
        if (r >= 0)
                r = image_reader_new(&work->stream, &work->reader, &result->error);
        if (r >= 0)
                r = take_header(work, result);
        if (r < 0)
                return r;

        c->state_work = state_work_free(c->state_work);
        c->state_work = TAKE(work);
        return 0;
}

/* In a file that we wrote nothing follows. */
static int check_rest(StateWork *work, Error *error) {
        uint8_t byte;
        size_t n = 0;

        if (!work->in_store || (stream_read(&work->stream, &byte, sizeof(byte), &n) >= 0 && n == 0))
                return 0;

        return error_set(error, -ERROR_STATE_INVALID, "The state image is followed by something in its file");
}

int state_work_restore(BackendContext *c, const Job *job, JobResult *result) {
        _cleanup_(state_work_freep) StateWork *work = TAKE(c->state_work);
        const TransferOptions options = { .progress = on_progress, .userdata = work };
        StateDevice device = STATE_DEVICE_NULL;
        int r;

        if (!work)
                return error_set(&result->error, -EIO, "The worker that had read the state's header is gone");

        r = open_device(c, job, &device, &result->error);
        if (r >= 0)
                r = transfer_restore(&device, work->reader, &options, &result->progress, &result->error);
        if (r >= 0)
                r = check_rest(work, &result->error);
        /* The device is the daemon's to remove; until then it holds nothing of what is not whole. */
        if (r < 0 && device.device_fd >= 0)
                (void)state_device_reset(&device, NULL);
        state_device_close(&device);
        return r;
}

int state_work_settle(BackendContext *c, const Job *job, JobResult *result) {
        StateDevice device = STATE_DEVICE_NULL;
        int r;

        r = open_device(c, job, &device, &result->error);
        if (r >= 0)
                r = state_device_settle(&device, &result->error);
        state_device_close(&device);
        /* Whoever left it so may have left a file as well. */
        state_store_clean(c->host);
        result->progress.was_reset = r > 0;
        return MIN(r, 0);
}
