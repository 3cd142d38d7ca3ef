/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * File: reading attributes and links relative to an open directory, and replacing small files atomically.
 */

#include <dirent.h>

#include "util/cleanup.h"

/* Opens a directory below dir_fd for further openat(). */
int directory_open(int dir_fd, const char *path);

/* A DIR over a directory below dir_fd, on a descriptor of its own. */
int directory_list(int dir_fd, const char *path, DIR **ret_dir);

static inline void dir_closep(DIR **d) {
        if (*d)
                (void)closedir(*d);
}

/* The next entry that is neither "." nor ".."; NULL at the end and on error. */
struct dirent *directory_next(DIR *dir);

/*
 * Reads an attribute as text into buffer, without the newline at its end. The length, or negative errno; -E2BIG if it
 * does not fit with that newline, -EBADMSG if it holds a NUL.
 */
ssize_t attribute_read(int dir_fd, const char *path, char *buffer, size_t size);

/* The same of one value, as those of sysfs are: what cannot be read or shown is the empty string. */
void attribute_read_text(int dir_fd, const char *path, char *buffer, size_t size);

/* A number in C's notation (0x…, decimal), whole and within max, else -EBADMSG. */
int attribute_read_number(int dir_fd, const char *path, uint64_t max, uint64_t *ret);
/* The same of one that is open, as it is by now. */
int attribute_reread_number(int fd, uint64_t max, uint64_t *ret);

/* One write() of text to an attribute that exists. */
int attribute_write(int dir_fd, const char *path, const char *text);

/* The last component of what a symbolic link points to. */
int link_read_basename(int dir_fd, const char *path, char *buffer, size_t size);

bool path_exists(int dir_fd, const char *path);

/* write() until all of it is written. */
int file_write_all(int fd, const char *data, size_t size);

/* Replaces name by a file with these contents, all or nothing. Survives the death of the process, not a power cut. */
int file_replace(int dir_fd, const char *name, const char *contents);

/*
 * Takes the lock that the file of this name stands for: a descriptor for file_unlock(), or -EWOULDBLOCK if somebody has it.
 * It goes with the process, however that ends, and stays with none that it starts.
 */
int file_lock(int dir_fd, const char *name);
void file_unlock(int dir_fd, const char *name, int fd);
