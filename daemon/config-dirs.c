/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "config.h"
#include "config-dirs.h"
#include "util/file.h"
#include "util/text.h"

/* In the order of precedence. */
static const char *const config_places[CONFIG_DIRS_MAX] = { "etc/mdevgpud", "run/mdevgpud", "usr/lib/mdevgpud" };

#define report_file(report, path, severity, ...) config_report_add((report), (path), 0, 0, (severity), __VA_ARGS__)

/* Why not to believe what st stands for; NULL if nothing speaks against it. */
static const char *trust_problem(const struct stat *st) {
        if (st->st_uid != 0 && st->st_uid != geteuid())
                return "is owned by neither root nor the user who reads it";
        if (st->st_mode & S_IWOTH)
                return "can be written by everybody";

        return NULL;
}

void config_dirs_done(ConfigDirs *dirs) {
        for (size_t i = 0; i < dirs->n_files; i++)
                free(dirs->files[i].path);
        free(dirs->files);
        for (size_t i = 0; i < CONFIG_DIRS_MAX; i++)
                dir_closep(&dirs->dirs[i]);
        *dirs = (ConfigDirs){};
}

static bool dirs_have(const ConfigDirs *dirs, const char *name) {
        for (size_t i = 0; i < dirs->n_files; i++)
                if (streq(dirs->files[i].name, name))
                        return true;

        return false;
}

static int dirs_add_file(ConfigDirs *dirs, int dir_fd, const char *dir_path, const char *name) {
        _cleanup_(freep) char *path = NULL;
        ConfigFile *files;

        if (asprintf(&path, "%s/%s", dir_path, name) < 0) {
                path = NULL;
                return -ENOMEM;
        }

        files = reallocarray(dirs->files, dirs->n_files + 1, sizeof(ConfigFile));
        if (!files)
                return -ENOMEM;

        dirs->files = files;
        dirs->files[dirs->n_files++] = (ConfigFile){
                .path = path,
                .name = path + strlen(dir_path) + 1,
                .dir_fd = dir_fd,
        };
        path = NULL;
        return 0;
}

static bool has_suffix(const char *name, const char *suffix) {
        size_t n = strlen(name), n_suffix = strlen(suffix);

        return n > n_suffix && streq(name + n - n_suffix, suffix);
}

/* Files of other names are not ours: what an editor or a package manager leaves, examples, documentation. */
static int dirs_consider(ConfigDirs *dirs, int dir_fd, const char *dir_path, const char *name, ConfigReport *report) {
        if (name[0] == '.' || (dirs->only && !streq(name, dirs->only)))
                return 0;
        if (has_suffix(name, ".yml"))
                return report_file(report, dir_path, PROBLEM_WARNING,
                                   "'%s' is ignored, as its name does not end in .yaml", name);
        if (!has_suffix(name, ".yaml") || dirs_have(dirs, name))
                return 0;

        if (dirs->n_files >= CONFIG_FILES_MAX) {
                int r = report_file(report, dir_path, PROBLEM_ERROR, "there are more than %u files", CONFIG_FILES_MAX);

                return r < 0 ? r : -EBADMSG;
        }

        return dirs_add_file(dirs, dir_fd, dir_path, name);
}

static int entry_compare(const struct dirent **a, const struct dirent **b) {
        return strcmp((*a)->d_name, (*b)->d_name);
}

static int dirs_scan(ConfigDirs *dirs, DIR *dir, const char *dir_path, ConfigReport *report) {
        struct dirent **entries;
        int n, r = 0;

        /* By name: the same files give the same report on every file system. */
        n = scandirat(dirfd(dir), ".", &entries, NULL, entry_compare);
        if (n < 0)
                return errno == ENOMEM ? -ENOMEM : report_file(report, dir_path, PROBLEM_ERROR, "cannot be listed: %m");

        for (int i = 0; i < n; i++) {
                char *name = entries[i]->d_name;

                /* The name goes into messages, and through them to the bus and to terminals. */
                if (r >= 0 && !dirs->only && !text_is_printable(name)) {
                        text_sanitize(name);
                        r = report_file(report, dir_path, PROBLEM_ERROR, "'%s' is not a printable name", name);
                } else if (r >= 0)
                        r = dirs_consider(dirs, dirfd(dir), dir_path, name, report);
                free(entries[i]);
        }
        free(entries);

        return r;
}

static int dirs_open_place(ConfigDirs *dirs, size_t i, const char *path, ConfigReport *report) {
        const char *problem;
        struct stat st;
        int r;

        r = directory_list(AT_FDCWD, path, &dirs->dirs[i]);
        if (r == -ENOMEM)
                return r;
        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return report_file(report, path, PROBLEM_ERROR, "cannot be listed: %s", strerrordesc_np(-r));

        if (fstat(dirfd(dirs->dirs[i]), &st) < 0)
                return report_file(report, path, PROBLEM_ERROR, "cannot be listed: %m");

        problem = trust_problem(&st);
        if (problem)
                return report_file(report, path, PROBLEM_ERROR, "the folder %s", problem);

        return dirs_scan(dirs, dirs->dirs[i], path, report);
}

static int file_compare(const void *a, const void *b) {
        return strcmp(((const ConfigFile *)a)->name, ((const ConfigFile *)b)->name);
}

/* A root that somebody gave and that is not there is a mistake in writing it; the folders below are all optional. */
static int check_root(const char *root, ConfigReport *report) {
        struct stat st;
        int r;

        if (stat(root, &st) >= 0 && S_ISDIR(st.st_mode))
                return 0;

        r = report_file(report, root, PROBLEM_ERROR, "is not a folder");
        return r < 0 ? r : -EBADMSG;
}

int config_dirs_open(ConfigDirs *dirs, const char *root, const char *folder, ConfigReport *report) {
        size_t n_root = strlen(root);
        int r;

        if (n_root > 0) {
                r = check_root(root, report);
                if (r < 0)
                        return r;
        }
        while (n_root > 0 && root[n_root - 1] == '/')
                n_root--;

        for (size_t i = 0; i < CONFIG_DIRS_MAX; i++) {
                _cleanup_(freep) char *path = NULL;

                if (asprintf(&path, "%.*s/%s%s%s", (int)n_root, root, config_places[i], *folder ? "/" : "", folder) < 0) {
                        path = NULL;
                        return -ENOMEM;
                }

                r = dirs_open_place(dirs, i, path, report);
                if (r < 0)
                        return r;
        }

        if (dirs->n_files > 0)
                qsort(dirs->files, dirs->n_files, sizeof(ConfigFile), file_compare);
        return 0;
}

int config_file_find(const char *root, const char *path, ConfigReport *report, ConfigFile *ret_file) {
        _cleanup_(freep) char *full = NULL, *folder = NULL;
        const char *problem;
        struct stat st;

        if (asprintf(&full, "%s%s", root, path) < 0) {
                full = NULL;
                return -ENOMEM;
        }
        folder = strndup(full, (size_t)(strrchr(full, '/') - full));
        if (!folder)
                return -ENOMEM;

        if (stat(folder, &st) < 0 || faccessat(AT_FDCWD, full, F_OK, AT_EACCESS) < 0)
                return errno == ENOENT || errno == ENOTDIR
                               ? 0
                               : report_file(report, full, PROBLEM_ERROR, "cannot be looked at: %m");

        problem = trust_problem(&st);
        if (problem)
                return report_file(report, folder, PROBLEM_ERROR, "the folder %s", problem);

        *ret_file = (ConfigFile){ .path = full, .name = full, .dir_fd = AT_FDCWD };
        full = NULL;
        return 1;
}

int config_dirs_open_file(ConfigDirs *dirs, const char *root, const char *name, ConfigReport *report) {
        dirs->only = name;
        return config_dirs_open(dirs, root, "", report);
}

static int read_all(int fd, char **ret_text, size_t *ret_size) {
        _cleanup_(freep) char *text = NULL;
        size_t size = 0, allocated = 0;

        for (;;) {
                ssize_t n;

                if (allocated - size < 2) {
                        char *larger;

                        allocated = MAX(allocated * 2, 16384U);
                        larger = realloc(text, allocated);
                        if (!larger)
                                return -ENOMEM;
                        text = larger;
                }

                n = read(fd, text + size, allocated - size);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return negative_errno();
                if (n == 0)
                        break;

                size += (size_t)n;
                if (size > CONFIG_FILE_SIZE_MAX)
                        return -EFBIG;
        }

        *ret_text = TAKE(text);
        *ret_size = size;
        return 0;
}

/* fd refers to the file by O_PATH only: what it is was looked at before any driver could hear of an open. */
static int read_path(int fd, char **ret_text, size_t *ret_size) {
        _cleanup_(fd_closep) int file_fd = -EBADF;
        char path[sizeof("/proc/self/fd/") + 3 * sizeof(int)];

        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        file_fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (file_fd < 0)
                return negative_errno();

        return read_all(file_fd, ret_text, ret_size);
}

int config_file_read(const ConfigFile *file, ConfigReport *report, char **ret_text, size_t *ret_size) {
        _cleanup_(fd_closep) int fd = -EBADF;
        const char *problem;
        struct stat st;
        int r;

        /* Links are followed: whoever may make one here is trusted, and what it leads to is judged as a file is. */
        fd = openat(file->dir_fd, file->name, O_PATH | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) < 0)
                return report_file(report, file->path, PROBLEM_ERROR, "cannot be opened: %m");

        if (S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3))
                return 0;
        if (!S_ISREG(st.st_mode))
                return report_file(report, file->path, PROBLEM_ERROR, "is neither a regular file nor a link to one");

        problem = trust_problem(&st);
        if (problem)
                return report_file(report, file->path, PROBLEM_ERROR, "%s", problem);

        r = read_path(fd, ret_text, ret_size);
        if (r == -EFBIG)
                return report_file(report, file->path, PROBLEM_ERROR, "is larger than %u KiB",
                                   CONFIG_FILE_SIZE_MAX / 1024U);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                return report_file(report, file->path, PROBLEM_ERROR, "cannot be read: %s", strerrordesc_np(-r));

        return 1;
}
