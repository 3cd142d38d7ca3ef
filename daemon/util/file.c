/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "util/file.h"
#include "util/text.h"

int directory_open(int dir_fd, const char *path) {
        int fd;

        fd = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return fd < 0 ? negative_errno() : fd;
}

int directory_list(int dir_fd, const char *path, DIR **ret_dir) {
        _cleanup_(fd_closep) int fd = -EBADF;
        DIR *dir;

        fd = directory_open(dir_fd, path);
        if (fd < 0)
                return fd;

        dir = fdopendir(fd);
        if (!dir)
                return negative_errno();

        (void)TAKE_FD(fd);
        *ret_dir = dir;
        return 0;
}

struct dirent *directory_next(DIR *dir) {
        struct dirent *entry;

        do
                entry = readdir(dir);
        while (entry && (streq(entry->d_name, ".") || streq(entry->d_name, "..")));

        return entry;
}

/* A file of one value is shown in one go: what ends with a line and has not filled the room is all of it. Others are not. */
static ssize_t read_file(int dir_fd, const char *path, char *buffer, size_t size, bool one_value) {
        _cleanup_(fd_closep) int fd = -EBADF;
        size_t n = 0;

        assert(size > 1);

        fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd < 0)
                return negative_errno();

        for (;;) {
                ssize_t k = read(fd, buffer + n, size - n);

                if (k < 0)
                        return negative_errno();
                if (k == 0)
                        break;
                n += (size_t)k;
                if (n == size)
                        return -E2BIG;
                if (one_value && buffer[n - 1] == '\n')
                        break;
        }

        if (n > 0 && buffer[n - 1] == '\n')
                n--;
        buffer[n] = '\0';
        return strlen(buffer) == n ? (ssize_t)n : -EBADMSG;
}

ssize_t attribute_read(int dir_fd, const char *path, char *buffer, size_t size) {
        return read_file(dir_fd, path, buffer, size, /* one_value= */ false);
}

void attribute_read_text(int dir_fd, const char *path, char *buffer, size_t size) {
        if (read_file(dir_fd, path, buffer, size, /* one_value= */ true) < 0)
                buffer[0] = '\0';
        else
                text_sanitize(buffer);
}

static int parse_number(const char *text, uint64_t max, uint64_t *ret) {
        unsigned long long value;
        char *end;

        /* strtoull() takes a sign and leading blanks; a kernel attribute has neither. */
        if (text[0] < '0' || text[0] > '9')
                return -EBADMSG;

        errno = 0;
        value = strtoull(text, &end, 0);
        if (errno != 0 || *end != '\0' || value > max)
                return -EBADMSG;

        *ret = value;
        return 0;
}

int attribute_read_number(int dir_fd, const char *path, uint64_t max, uint64_t *ret) {
        char buffer[64];
        ssize_t n;

        n = read_file(dir_fd, path, buffer, sizeof(buffer), /* one_value= */ true);
        return n < 0 ? (int)n : parse_number(buffer, max, ret);
}

int attribute_reread_number(int fd, uint64_t max, uint64_t *ret) {
        char buffer[64];
        ssize_t n;

        n = pread(fd, buffer, sizeof(buffer) - 1, 0);
        if (n < 0)
                return negative_errno();
        if (n > 0 && buffer[n - 1] == '\n')
                n--;
        buffer[n] = '\0';
        return strlen(buffer) == (size_t)n ? parse_number(buffer, max, ret) : -EBADMSG;
}

int attribute_write(int dir_fd, const char *path, const char *text) {
        _cleanup_(fd_closep) int fd = -EBADF;
        ssize_t n;

        fd = openat(dir_fd, path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return negative_errno();

        n = write(fd, text, strlen(text));
        if (n < 0)
                return negative_errno();

        return (size_t)n == strlen(text) ? 0 : -EIO;
}

int link_read_basename(int dir_fd, const char *path, char *buffer, size_t size) {
        char target[4096];
        const char *base;
        ssize_t n;

        n = readlinkat(dir_fd, path, target, sizeof(target));
        if (n < 0)
                return negative_errno();
        if ((size_t)n >= sizeof(target))
                return -ENAMETOOLONG;
        target[n] = '\0';

        base = strrchr(target, '/');
        base = base ? base + 1 : target;
        if (!text_is_name(base) || !text_copy(buffer, size, base))
                return -EBADMSG;

        return 0;
}

bool path_exists(int dir_fd, const char *path) {
        return faccessat(dir_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) >= 0;
}

int file_write_all(int fd, const char *data, size_t size) {
        while (size > 0) {
                ssize_t n = write(fd, data, size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return negative_errno();
                data += n;
                size -= (size_t)n;
        }

        return 0;
}

int file_replace(int dir_fd, const char *name, const char *contents) {
        _cleanup_(fd_closep) int fd = -EBADF;
        char temporary[300];
        int r;

        /* One writer at a time: the daemon holds its bus name. A file left by one that was killed is written over. */
        (void)snprintf(temporary, sizeof(temporary), ".#%s", name);
        fd = openat(dir_fd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return negative_errno();

        r = file_write_all(fd, contents, strlen(contents));
        if (r >= 0 && renameat(dir_fd, temporary, dir_fd, name) < 0)
                r = negative_errno();
        if (r < 0)
                (void)unlinkat(dir_fd, temporary, 0);

        return r;
}

/* The file that is there under its name is the one that was locked: whoever had it before has removed his. */
static bool is_there(int dir_fd, const char *name, int fd) {
        struct stat mine, there;

        return fstat(fd, &mine) >= 0 && fstatat(dir_fd, name, &there, AT_SYMLINK_NOFOLLOW) >= 0 &&
               mine.st_ino == there.st_ino && mine.st_dev == there.st_dev;
}

int file_lock(int dir_fd, const char *name) {
        for (;;) {
                _cleanup_(fd_closep) int fd = -EBADF;

                fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
                if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
                        return negative_errno();
                if (is_there(dir_fd, name, fd))
                        return TAKE_FD(fd);
        }
}

void file_unlock(int dir_fd, const char *name, int fd) {
        if (fd < 0)
                return;

        (void)unlinkat(dir_fd, name, 0);
        (void)close(fd);
}
