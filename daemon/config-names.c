/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>

#include "config-names.h"
#include "config-value.h"

static void file_closep(FILE **f) {
        if (*f)
                (void)fclose(*f);
}

/* The number that stands for nobody (as in chown(2)) is none. */
static int parse_number(const char *name, uint32_t *ret) {
        uint64_t value;

        if (strspn(name, "0123456789") != strlen(name))
                return -EINVAL;
        if (config_number_parse(name, &value) < 0 || value >= UINT32_MAX)
                return -ENOENT;

        *ret = (uint32_t)value;
        return 0;
}

static int open_file(const char *root, const char *path, FILE **ret) {
        _cleanup_(fd_closep) int fd = -EBADF;
        _cleanup_(freep) char *full = NULL;
        struct stat st;
        FILE *f;

        if (asprintf(&full, "%s%s", root, path) < 0) {
                full = NULL;
                return -ENOMEM;
        }

        fd = open(full, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd < 0 || fstat(fd, &st) < 0)
                return negative_errno();
        if (!S_ISREG(st.st_mode))
                return -EINVAL;

        f = fdopen(fd, "r");
        if (!f)
                return -ENOMEM;

        (void)TAKE_FD(fd);
        *ret = f;
        return 0;
}

int config_find_user(const char *root, const char *name, uint32_t *ret_uid) {
        _cleanup_(file_closep) FILE *f = NULL;
        const struct passwd *entry;
        int r;

        r = parse_number(name, ret_uid);
        if (r != -EINVAL)
                return r;

        r = open_file(root, "/etc/passwd", &f);
        if (r < 0)
                return r;
        while ((entry = fgetpwent(f)))
                if (streq(entry->pw_name, name)) {
                        *ret_uid = entry->pw_uid;
                        return 0;
                }

        return -ENOENT;
}

int config_find_group(const char *root, const char *name, uint32_t *ret_gid) {
        _cleanup_(file_closep) FILE *f = NULL;
        const struct group *entry;
        int r;

        r = parse_number(name, ret_gid);
        if (r != -EINVAL)
                return r;

        r = open_file(root, "/etc/group", &f);
        if (r < 0)
                return r;
        while ((entry = fgetgrent(f)))
                if (streq(entry->gr_name, name)) {
                        *ret_gid = entry->gr_gid;
                        return 0;
                }

        return -ENOENT;
}
