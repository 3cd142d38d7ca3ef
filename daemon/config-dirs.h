/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Config folders: which files of /etc, /run and /usr/lib are in force, and their contents.
 *
 * A file in /etc hides one of the same name in /run, and that one in /usr/lib; a link to /dev/null or an empty file
 * hides the others and says nothing itself. What cannot be trusted is refused, not passed over: a folder or file that
 * somebody other than root and the daemon's own user owns, or that everybody may write.
 */

#include <dirent.h>

#include "core/profile.h"

#define CONFIG_DIRS_MAX 3U

typedef struct ConfigFile {
        char *path; /* for messages, below root */
        const char *name; /* its last component */
        int dir_fd; /* borrowed from ConfigDirs */
} ConfigFile;

typedef struct ConfigDirs {
        const char *only; /* the one file that is looked for; NULL: all */
        DIR *dirs[CONFIG_DIRS_MAX];
        ConfigFile *files; /* lexical order of names */
        size_t n_files;
} ConfigDirs;

/* Lists folder, as types.d, in all places. -EBADMSG if that could not be done; less grave errors are reported only. */
int config_dirs_open(ConfigDirs *dirs, const char *root, const char *folder, ConfigReport *report);
/* The same of one file, as mdevgpud.yaml, which lies beside the folders. name lives as long as dirs. */
int config_dirs_open_file(ConfigDirs *dirs, const char *root, const char *name, ConfigReport *report);
void config_dirs_done(ConfigDirs *dirs);

/*
 * One file at path below root, for a place of others: 1 and the file (its path freed by the caller) if it is there, 0 if
 * not, or if it must not be believed, which has been reported; -ENOMEM.
 */
int config_file_find(const char *root, const char *path, ConfigReport *report, ConfigFile *ret_file);

/*
 * 1 and the contents (freed with free()); 0 if there are none, because the file says nothing or because what forbids to
 * read it has been reported; -ENOMEM. Nothing but a regular file is ever opened.
 */
int config_file_read(const ConfigFile *file, ConfigReport *report, char **ret_text, size_t *ret_size);
