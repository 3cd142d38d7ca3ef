/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * State file: where a vGPU's state goes to or comes from that is not the daemon's.
 */

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "job.h"
#include "state-file.h"

/* Of the name, so that the temporary one is no longer than a file's may be. */
#define NAME_BYTES_MAX 200

/* Not one of the three that a program has anyway, whatever is closed of these. */
#define FD_MIN 3

void state_file_close(StateFile *file) {
        if (file->fd >= 0)
                (void)close(file->fd);

        file->fd = -EBADF;
        free(TAKE(file->temporary));
}

static size_t folder_length(const char *name) {
        const char *slash = strrchr(name, '/');

        return slash ? (size_t)(slash - name) + 1 : 0;
}

static Status create_output(StateFile *file) {
        if (isatty(STDOUT_FILENO))
                return ctl_error(STATUS_USAGE, "Standard output is a terminal: a state is not for people to read.");

        file->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, FD_MIN);
        if (file->fd < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
                return ctl_error(STATUS_FAILED, "Cannot use standard output: %s.", strerror(errno));

        return STATUS_DONE;
}

/* Such as a shell makes of >(command). */
static Status open_pipe(StateFile *file) {
        struct stat st;

        file->fd = open(file->name, O_WRONLY | O_CLOEXEC | O_NOCTTY);
        if (file->fd < 0 || fstat(file->fd, &st) < 0)
                return ctl_error(STATUS_FAILED, "Cannot open %s: %s.", file->name, strerror(errno));
        if (!S_ISFIFO(st.st_mode))
                return ctl_error(STATUS_FAILED, "%s is not the pipe any more that it was just now.", file->name);

        return STATUS_DONE;
}

static Status create_temporary(StateFile *file) {
        size_t length = folder_length(file->name);
        const char *base = file->name + length;

        if (!*base)
                return ctl_error(STATUS_USAGE, "'%s' is no name of a file.", file->name);

        if (asprintf(&file->temporary, "%.*s.%.*s.XXXXXX", (int)length, file->name, NAME_BYTES_MAX, base) < 0) {
                file->temporary = NULL;
                return ctl_oom();
        }

        file->fd = mkostemp(file->temporary, O_CLOEXEC);
        if (file->fd < 0) {
                int error = errno;

                free(TAKE(file->temporary));
                return ctl_error(STATUS_FAILED, "Cannot create a file beside %s: %s.", file->name, strerror(error));
        }

        return STATUS_DONE;
}

Status state_file_create(const char *name, StateFile *ret) {
        struct stat st;

        *ret = STATE_FILE_NULL;
        if (streq(name, "-"))
                return create_output(ret);

        ret->name = name;
        if (stat(name, &st) >= 0 && S_ISFIFO(st.st_mode))
                return open_pipe(ret);
        if (lstat(name, &st) >= 0)
                return ctl_error(STATUS_FAILED, "%s is there already, and no file is replaced.", name);
        if (errno != ENOENT)
                return ctl_error(STATUS_FAILED, "Cannot look for %s: %s.", name, strerror(errno));

        return create_temporary(ret);
}

Status state_file_open(const char *name, StateFile *ret) {
        *ret = STATE_FILE_NULL;
        if (!streq(name, "-")) {
                ret->name = name;
                ret->fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
                return ret->fd < 0 ? ctl_error(STATUS_FAILED, "Cannot open %s: %s.", name, strerror(errno))
                                   : STATUS_DONE;
        }

        if (isatty(STDIN_FILENO))
                return ctl_error(STATUS_USAGE, "Standard input is a terminal: nobody types a state.");

        ret->fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, FD_MIN);
        return ret->fd < 0 ? ctl_error(STATUS_FAILED, "Cannot use standard input: %s.", strerror(errno)) : STATUS_DONE;
}

/* Some file systems cannot refuse to replace by themselves. */
static int rename_to_new(const char *from, const char *to) {
        struct stat st;

        if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) >= 0)
                return 0;
        if (errno != EINVAL)
                return -errno;
        if (lstat(to, &st) >= 0)
                return -EEXIST;

        return rename(from, to) < 0 ? -errno : 0;
}

/* So that the name is there after a crash, too; where it cannot be made sure the file is there nevertheless. */
static void folder_sync(const char *name) {
        _cleanup_(freep) char *folder = strndup(name, folder_length(name));
        _cleanup_(fd_closep) int fd = -EBADF;

        fd = folder ? open(*folder ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -EBADF;
        if (fd >= 0)
                (void)fsync(fd);
}

void state_file_remove(StateFile *file) {
        interrupts_unlink(NULL);
        if (file->temporary)
                (void)unlink(file->temporary);

        free(TAKE(file->temporary));
}

void state_file_keep(StateFile *file) {
        interrupts_unlink(NULL);
        if (file->temporary)
                (void)ctl_error(STATUS_FAILED, "What there is of the state stands in %s.", file->temporary);

        free(TAKE(file->temporary));
}

Status state_file_publish(StateFile *file) {
        Status status = STATUS_DONE;
        int r;

        if (!file->temporary)
                return STATUS_DONE;

        interrupts_unlink(NULL);
        r = fsync(file->fd) < 0 ? -errno : rename_to_new(file->temporary, file->name);
        if (r < 0) {
                status = ctl_error(STATUS_FAILED, "Cannot put the state into %s: %s.", file->name, strerror(-r));
                state_file_keep(file);
                return status;
        }

        folder_sync(file->name);
        free(TAKE(file->temporary));
        return STATUS_DONE;
}
