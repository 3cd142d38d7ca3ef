/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The types that parents of mediated devices have, by sysfs. */

#include <ctype.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "host.h"

static void type_done(HostType *t) {
        free(t->parent);
        free(t->id);
        free(t->device_api);
        free(t->name);
        free(t->description);
        *t = (HostType){};
}

void host_types_done(HostTypes *types) {
        for (size_t i = 0; i < types->n; i++)
                type_done(&types->items[i]);
        for (size_t i = 0; i < types->n_parents; i++)
                free(types->parents[i]);
        free(types->items);
        free(types->parents);
        *types = (HostTypes){};
}

/* Without the blanks around it. */
static int read_text(const char *folder, const char *name, char **ret_text) {
        _cleanup_(freep) char *text = NULL;
        char path[PATH_MAX];
        ssize_t n;
        char *s;

        if ((size_t)snprintf(path, sizeof(path), "%s/%s", folder, name) >= sizeof(path))
                return -ENAMETOOLONG;
        n = host_read(path, &text);
        if (n < 0)
                return (int)n;

        s = text;
        while (n > 0 && isspace((unsigned char)text[n - 1]))
                text[--n] = '\0';
        while (isspace((unsigned char)*s))
                s++;
        return device_set(ret_text, s);
}

/* A description of several lines is one line, with commas. */
static int join_lines(char **text) {
        _cleanup_(freep) char *joined = NULL;
        char *to;

        if (!*text || !strchr(*text, '\n'))
                return 0;
        joined = malloc(2 * strlen(*text) + 1);
        if (!joined)
                return -ENOMEM;

        to = joined;
        for (const char *s = *text; *s; s++)
                if (*s == '\n')
                        to = stpcpy(to, ", ");
                else
                        *to++ = *s;
        *to = '\0';
        free(*text);
        *text = TAKE(joined);
        return 0;
}

static int load_type(const char *folder, HostType *t) {
        _cleanup_(freep) char *available = NULL;
        char *end;
        long n;
        int r;

        r = read_text(folder, "available_instances", &available);
        if (r >= 0)
                r = read_text(folder, "device_api", &t->device_api);
        if (r < 0)
                return r;

        errno = 0;
        n = strtol(available, &end, 10);
        if (errno != 0 || end == available || *end || n < INT32_MIN || n > INT32_MAX)
                return -EBADMSG;
        t->available = (int)n;

        (void)read_text(folder, "name", &t->name);
        (void)read_text(folder, "description", &t->description);
        return join_lines(&t->description);
}

static int add_type(HostTypes *types, const char *parent, const char *folder, const char *id) {
        HostType *items, t = {};
        int r;

        r = device_set(&t.parent, parent);
        if (r >= 0)
                r = device_set(&t.id, id);
        if (r >= 0)
                r = load_type(folder, &t);
        items = r >= 0 ? reallocarray(types->items, types->n + 1, sizeof(*items)) : NULL;
        if (!items) {
                type_done(&t);
                if (r >= 0 || r == -ENOMEM)
                        return -ENOMEM;
                if (r != -ENOENT && r != -ENODEV)
                        warn("type %s of %s cannot be read: %s", id, parent, strerrordesc_np(-r));
                return 0;
        }

        types->items = items;
        items[types->n++] = t;
        return 0;
}

static int add_parent(HostTypes *types, const char *parent) {
        char **parents = reallocarray(types->parents, types->n_parents + 1, sizeof(*parents));

        if (!parents)
                return -ENOMEM;
        types->parents = parents;
        parents[types->n_parents] = NULL;
        return device_set(&parents[types->n_parents++], parent);
}

static int list_types_of(HostTypes *types, const char *parent) {
        _cleanup_(dir_closep) DIR *dir = NULL;
        char path[PATH_MAX], folder[PATH_MAX];
        struct dirent *entry;
        struct stat st;
        int r;

        r = host_path(path, HOST_PARENTS "/%s/mdev_supported_types", parent);
        if (r < 0 || directory_list(AT_FDCWD, path, &dir) < 0)
                return 0;

        r = add_parent(types, parent);
        while (r >= 0 && (entry = directory_next(dir)))
                if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) >= 0 && S_ISDIR(st.st_mode)) {
                        r = host_path(folder, HOST_PARENTS "/%s/mdev_supported_types/%s", parent, entry->d_name);
                        if (r >= 0)
                                r = add_type(types, parent, folder, entry->d_name);
                }
        return r;
}

static int compare_types(const void *a, const void *b) {
        const HostType *x = a, *y = b;
        int r = strcmp(x->parent, y->parent);

        return r != 0 ? r : strcmp(x->id, y->id);
}

static int compare_names(const void *a, const void *b) {
        return strcmp(*(char *const *)a, *(char *const *)b);
}

bool host_is_parent(const char *parent) {
        char path[PATH_MAX];

        return host_path(path, HOST_PARENTS "/%s/mdev_supported_types", parent) >= 0 && access(path, F_OK) >= 0;
}

bool host_has_type(const char *parent, const char *type) {
        char path[PATH_MAX];

        return *type && host_path(path, HOST_PARENTS "/%s/mdev_supported_types/%s", parent, type) >= 0 &&
               access(path, F_OK) >= 0;
}

bool host_has_functions(const char *parent) {
        char path[PATH_MAX];

        return host_path(path, "/sys/bus/pci/devices/%s/virtfn0", parent) >= 0 && access(path, F_OK) >= 0;
}

int host_list_types(const char *parent, HostTypes *ret_types) {
        _cleanup_(dir_closep) DIR *dir = NULL;
        char path[PATH_MAX];
        struct dirent *entry;

        if (host_path(path, HOST_PARENTS) < 0 || directory_list(AT_FDCWD, path, &dir) < 0)
                return 0;

        while ((entry = directory_next(dir))) {
                int r = parent && strcmp(parent, entry->d_name) != 0 ? 0 : list_types_of(ret_types, entry->d_name);

                if (r < 0)
                        return fail(r, "types cannot be listed: %s", strerrordesc_np(-r));
        }

        if (ret_types->n > 0)
                qsort(ret_types->items, ret_types->n, sizeof(*ret_types->items), compare_types);
        if (ret_types->n_parents > 0)
                qsort(ret_types->parents, ret_types->n_parents, sizeof(*ret_types->parents), compare_names);
        return 0;
}
