/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <inttypes.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "state/image.h"
#include "util/file.h"
#include "util/text.h"
#include "worker/state-store.h"
#include "worker/store.h"

/* What is being written has a name that no saved state can have, and is locked by who writes it. */
#define TEMPORARY_PREFIX ".new-"

/* Of a file that is being written: so often the others are counted; and so often the disk is told to go on, where it is, so that
 * less is left to wait for in the end. */
#define COUNT_INTERVAL (UINT64_C(16) << 20)
#define FLUSH_INTERVAL (UINT64_C(64) << 20)

#define FOLDER "/var/lib/mdevgpud/" SAVED_STATES_FOLDER

static int store_error(int r, const char *what, const char *name, Error *error) {
        return error_set(error, -EIO, FOLDER "/%s cannot be %s: %s", name, what, strerrordesc_np(-r) ?: "unknown error");
}

/* Without it there is nothing saved. */
static int open_folder(const Host *host) {
        return host->var_fd < 0 ? -ENOENT : directory_open(host->var_fd, SAVED_STATES_FOLDER);
}

static void name_file(const char *name, char *buffer, size_t size) {
        (void)snprintf(buffer, size, "%s" SAVED_STATE_SUFFIX, name);
}

/* Bytes of all files but this one. */
static uint64_t count_others(int folder_fd, const char *but) {
        _cleanup_(dir_closep) DIR *dir = NULL;
        struct dirent *entry;
        uint64_t sum = 0;
        struct stat st;

        if (directory_list(folder_fd, ".", &dir) < 0)
                return 0;

        while ((entry = directory_next(dir)))
                if (!streq(entry->d_name, but) && fstatat(folder_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
                        sum += (uint64_t)st.st_size;

        return sum;
}

static void count_again(StateFile *file, uint64_t n_bytes) {
        struct stat st;

        file->counted = n_bytes;
        file->others = count_others(file->folder_fd, file->temporary);
        /* The one that it replaces goes. */
        if (file->replace && fstatat(file->folder_fd, file->name, &st, AT_SYMLINK_NOFOLLOW) == 0)
                file->others -= MIN(file->others, (uint64_t)st.st_size);
}

/* Locked, and still there: somebody may have cleaned in between. */
static bool is_ours(int fd) {
        struct stat st;

        return flock(fd, LOCK_EX) >= 0 && fstat(fd, &st) >= 0 && st.st_nlink > 0;
}

static int create_temporary(StateFile *file) {
        uint64_t number = 0;

        for (unsigned i = 0; i < 100; i++) {
                (void)getentropy(&number, sizeof(number));
                (void)snprintf(file->temporary, sizeof(file->temporary), TEMPORARY_PREFIX "%016" PRIx64, number);
                file->fd = openat(file->folder_fd, file->temporary,
                                  O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
                if (file->fd >= 0 && is_ours(file->fd))
                        return 0;
                if (file->fd < 0 && errno != EEXIST)
                        return negative_errno();
                file->fd = fd_close(file->fd);
        }

        return -EEXIST;
}

int state_file_create(const Host *host, const Job *job, StateFile *ret_file, Error *error) {
        StateFile file = STATE_FILE_NULL;
        int r;

        name_file(job->state_name, file.name, sizeof(file.name));
        file.replace = job->replace;
        file.quota = job->quota;
        r = host->var_fd < 0 ? host->var_fd : (file.folder_fd = folder_open(host->var_fd, SAVED_STATES_FOLDER, 0700));
        if (r < 0)
                return store_error(r, "written", file.name, error);

        if (!file.replace && path_exists(file.folder_fd, file.name))
                r = error_set(error, -ERROR_ALREADY_EXISTS, "A state is saved under the name '%s' already",
                              job->state_name);
        if (r >= 0) {
                /* What is left of others takes no place. */
                state_store_clean(host);
                count_again(&file, 0);
                if (file.others >= file.quota)
                        r = error_set(error, -ERROR_LIMIT_EXCEEDED,
                                      "The states that are saved take %" PRIu64 " bytes, of at most %" PRIu64
                                      ": delete one, or let 'saved-states-max' of mdevgpud.yaml be more",
                                      file.others, file.quota);
        }
        if (r >= 0) {
                r = create_temporary(&file);
                if (r < 0)
                        r = store_error(r, "written", file.name, error);
        }
        if (r < 0) {
                state_file_done(&file);
                return r;
        }

        *ret_file = file;
        return 0;
}

static bool is_over(const StateFile *file, uint64_t n_bytes) {
        return n_bytes > file->quota - MIN(file->quota, file->others);
}

int state_file_moved(Stream *stream, void *userdata) {
        StateFile *file = userdata;

        if (file->early && stream->n_bytes - file->flushed >= FLUSH_INTERVAL) {
                (void)sync_file_range(file->fd, (off_t)file->flushed, (off_t)(stream->n_bytes - file->flushed),
                                      SYNC_FILE_RANGE_WRITE);
                file->flushed = stream->n_bytes;
        }
        if (stream->n_bytes - file->counted >= COUNT_INTERVAL)
                count_again(file, stream->n_bytes);

        return is_over(file, stream->n_bytes) ? STREAM_OVER_LIMIT : 0;
}

/* Not every file system knows both flags: then a link does the one, and the other replaces at once what cannot be taken back. */
static int rename_file(const StateFile *file, const char *from, const char *to, unsigned flags) {
        int fd = file->folder_fd;

        if (renameat2(fd, from, fd, to, flags) >= 0)
                return 0;
        if (errno != EINVAL)
                return negative_errno();
        if (flags == RENAME_EXCHANGE)
                return renameat(fd, from, fd, to) < 0 ? negative_errno() : 0;

        return linkat(fd, from, fd, to, 0) < 0 || unlinkat(fd, from, 0) < 0 ? negative_errno() : 0;
}

/* In the place of the one that is there, if one is and may be replaced; what may not survive does not stay. */
static int move_file(const StateFile *file) {
        bool exists = file->replace && path_exists(file->folder_fd, file->name);
        unsigned flags = RENAME_NOREPLACE;
        int r = -EEXIST;

        /* Others may save under this name, and delete what has it, at any moment. */
        for (unsigned i = 0; i < 10 && (r == -EEXIST || r == -ENOENT); i++) {
                flags = exists ? RENAME_EXCHANGE : RENAME_NOREPLACE;
                r = rename_file(file, file->temporary, file->name, flags);
                if (r == -EEXIST && !file->replace)
                        return r;
                exists = r == -EEXIST;
        }
        if (r < 0)
                return r;
        if (fsync(file->folder_fd) >= 0)
                return 0;

        r = negative_errno();
        (void)rename_file(file, file->name, file->temporary, flags);
        return r;
}

int state_file_commit(StateFile *file, Error *error) {
        int r;

        struct stat st;

        r = fsync(file->fd) < 0 || fstat(file->fd, &st) < 0 ? negative_errno() : 0;
        if (r >= 0) {
                /* Others may have come meanwhile. */
                count_again(file, (uint64_t)st.st_size);
                r = is_over(file, (uint64_t)st.st_size) ? STREAM_OVER_LIMIT : move_file(file);
        }
        if (r == STREAM_OVER_LIMIT)
                return error_set(error, -ERROR_LIMIT_EXCEEDED, STATE_OVER_LIMIT);
        if (r == -EEXIST)
                return error_set(error, -ERROR_ALREADY_EXISTS, "Another state has been saved as %s meanwhile", file->name);

        return r < 0 ? store_error(r, "written", file->name, error) : 0;
}

/* The temporary name is the old file's after a commit that replaced one, and nobody's after any other. */
void state_file_done(StateFile *file) {
        if (file->folder_fd >= 0 && file->temporary[0] != '\0')
                (void)unlinkat(file->folder_fd, file->temporary, 0);
        file->fd = fd_close(file->fd);
        file->folder_fd = fd_close(file->folder_fd);
}

static int no_such_state(const char *name, Error *error) {
        return error_set(error, -ERROR_NO_SUCH_STATE, "No state is saved under the name '%s'", name);
}

/* A pipe, say, that somebody put there would have whoever opens it wait. */
static int open_file(int folder_fd, const char *name, int *ret_fd) {
        _cleanup_(fd_closep) int fd = -EBADF;
        struct stat st;

        fd = openat(folder_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
        if (fd < 0 || fstat(fd, &st) < 0)
                return negative_errno();
        if (!S_ISREG(st.st_mode))
                return -EILSEQ;

        *ret_fd = TAKE_FD(fd);
        return 0;
}

int state_store_open(const Host *host, const char *name, int *ret_fd, Error *error) {
        _cleanup_(fd_closep) int folder_fd = open_folder(host);
        char file[sizeof(((StateFile *)NULL)->name)];
        int r = folder_fd;

        name_file(name, file, sizeof(file));
        if (r >= 0)
                r = open_file(folder_fd, file, ret_fd);
        if (r == -ENOENT)
                return no_such_state(name, error);

        return r < 0 ? store_error(r, "read", file, error) : 0;
}

static void describe_file(int fd, SavedState *saved) {
        _cleanup_(image_reader_freep) ImageReader *reader = NULL;
        Error error = ERROR_NULL;
        const ImageHeader *header;
        Stream stream;
        int r;

        r = stream_init(&stream, fd, -EBADF, STREAM_STALL_USEC);
        if (r >= 0)
                r = image_reader_new(&stream, &reader, &error);
        if (r < 0) {
                (void)error_set_errno(&error, r, "it cannot be read");
                (void)text_copy(saved->error, sizeof(saved->error), error.message);
                return;
        }

        header = image_reader_get_header(reader);
        saved->created_usec = header->created_usec;
        (void)text_copy(saved->uuid, sizeof(saved->uuid), header->uuid);
        (void)text_copy(saved->type_id, sizeof(saved->type_id), header->type.id);
        (void)text_copy(saved->label, sizeof(saved->label), header->label);
        (void)text_copy(saved->host, sizeof(saved->host), header->host);
        (void)text_copy(saved->gpu, sizeof(saved->gpu), header->gpu);
        (void)text_copy(saved->driver, sizeof(saved->driver), header->driver);
        (void)text_copy(saved->driver_version, sizeof(saved->driver_version), header->driver_version);
}

/* False: that is no saved state's name. */
static bool read_name(const char *file, char name[static SAVED_STATE_NAME_SIZE]) {
        size_t n = strlen(file), suffix = strlen(SAVED_STATE_SUFFIX);

        if (n <= suffix || n - suffix >= SAVED_STATE_NAME_SIZE || !streq(file + n - suffix, SAVED_STATE_SUFFIX))
                return false;

        memcpy(name, file, n - suffix);
        name[n - suffix] = '\0';
        return saved_state_name_is_good(name);
}

static int list_file(int folder_fd, const char *file, JobResult *result) {
        _cleanup_(fd_closep) int fd = -EBADF;
        char name[SAVED_STATE_NAME_SIZE];
        SavedState *saved;
        struct stat st;
        int r;

        if (!read_name(file, name))
                return 0;
        r = open_file(folder_fd, file, &fd);
        if (r == -ENOENT) /* deleted meanwhile */
                return 0;

        saved = job_result_add_saved(result);
        if (!saved)
                return result->n_saved >= SAVED_STATES_MAX ? 0 : -ENOMEM;
        (void)text_copy(saved->name, sizeof(saved->name), name);
        if (r < 0) {
                (void)snprintf(saved->error, sizeof(saved->error), "It cannot be opened: %s",
                               strerrordesc_np(-r) ?: "unknown error");
                return 0;
        }

        saved->size = fstat(fd, &st) == 0 ? (uint64_t)st.st_size : 0;
        describe_file(fd, saved);
        return 0;
}

int state_store_list(const Host *host, JobResult *result, Error *error) {
        _cleanup_(fd_closep) int folder_fd = open_folder(host);
        _cleanup_(dir_closep) DIR *dir = NULL;
        struct dirent *entry;
        int r = folder_fd;

        if (r == -ENOENT)
                return 0;
        if (r >= 0)
                r = directory_list(folder_fd, ".", &dir);
        while (r >= 0 && (entry = directory_next(dir)))
                r = list_file(folder_fd, entry->d_name, result);

        return r < 0 ? store_error(r, "read", "", error) : 0;
}

int state_store_delete(const Host *host, const char *name, Error *error) {
        _cleanup_(fd_closep) int folder_fd = open_folder(host);
        char file[sizeof(((StateFile *)NULL)->name)];
        int r = folder_fd;

        name_file(name, file, sizeof(file));
        if (r >= 0 && unlinkat(folder_fd, file, 0) < 0)
                r = negative_errno();
        if (r == -ENOENT)
                return no_such_state(name, error);
        if (r >= 0 && fsync(folder_fd) < 0)
                r = negative_errno();

        return r < 0 ? store_error(r, "deleted", file, error) : 0;
}

void state_store_clean(const Host *host) {
        _cleanup_(fd_closep) int folder_fd = open_folder(host);
        _cleanup_(dir_closep) DIR *dir = NULL;
        struct dirent *entry;

        if (folder_fd < 0 || directory_list(folder_fd, ".", &dir) < 0)
                return;

        while ((entry = directory_next(dir))) {
                _cleanup_(fd_closep) int fd = -EBADF;

                /* Its writer, if there is one, has it locked. */
                if (strncmp(entry->d_name, TEMPORARY_PREFIX, strlen(TEMPORARY_PREFIX)) != 0 ||
                    open_file(folder_fd, entry->d_name, &fd) < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
                        continue;
                (void)unlinkat(folder_fd, entry->d_name, 0);
        }
}
