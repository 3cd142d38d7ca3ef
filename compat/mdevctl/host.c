/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <sys/stat.h>

#include "host.h"

#define FILE_MAX (4U << 20)

static void say(const char *level, const char *format, va_list ap) __attribute__((format(printf, 2, 0)));

static void say(const char *level, const char *format, va_list ap) {
        _cleanup_(freep) char *sentence = NULL;

        if (vasprintf(&sentence, format, ap) < 0)
                sentence = NULL;
        fprintf(stderr, "%s: %s\n", level, sentence ?: "there is no memory");
}

int fail(int code, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        say("Error", format, ap);
        va_end(ap);
        return code;
}

void warn(const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        say("Warning", format, ap);
        va_end(ap);
}

static const char *root(void) {
#ifdef TEST_ROOT
        return secure_getenv("MDEVCTL_ENV_ROOT") ?: "";
#else
        return "";
#endif
}

int host_path(char ret_path[static PATH_MAX], const char *format, ...) {
        size_t n = strlen(root());
        va_list ap;
        int k;

        if (n >= PATH_MAX)
                return -ENAMETOOLONG;
        memcpy(ret_path, root(), n);
        va_start(ap, format);
        k = vsnprintf(ret_path + n, PATH_MAX - n, format, ap);
        va_end(ap);
        return k < 0 || (size_t)k >= PATH_MAX - n ? -ENAMETOOLONG : 0;
}

ssize_t host_read(const char *path, char **ret_text) {
        _cleanup_(fd_closep) int fd = -EBADF;
        _cleanup_(freep) char *text = NULL;
        size_t n = 0, size = 4096;

        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;

        for (;;) {
                char *more = realloc(text, size + 1);
                ssize_t k;

                if (!more)
                        return -ENOMEM;
                text = more;
                k = read(fd, text + n, size - n);
                if (k < 0 && errno != EINTR)
                        return -errno;
                if (k == 0)
                        break;
                n += k > 0 ? (size_t)k : 0;
                if (n == size && (size *= 2) > FILE_MAX)
                        return -EFBIG;
        }

        text[n] = '\0';
        *ret_text = TAKE(text);
        return (ssize_t)n;
}

static const char *last_component(const char *path) {
        const char *slash = strrchr(path, '/');

        return slash ? slash + 1 : path;
}

int host_load_active(const char *uuid, Device *d) {
        char path[PATH_MAX], real[PATH_MAX], *slash;
        int r;

        r = host_path(path, HOST_MDEVS "/%s", uuid);
        if (r < 0 || !realpath(path, real))
                return 0;

        slash = strrchr(real, '/');
        *slash = '\0';
        r = device_set(&d->parent, last_component(real));
        if (r >= 0)
                r = host_path(path, HOST_MDEVS "/%s/mdev_type", uuid);
        if (r < 0)
                return r;
        if (!realpath(path, real))
                return 0; /* it goes at this moment */

        r = device_set(&d->type, last_component(real));
        d->active = r >= 0;
        return r < 0 ? r : 1;
}

bool host_is_defined(const char *uuid, const char *parent) {
        char path[PATH_MAX];

        return host_path(path, HOST_CONFIG "/%s/%s", parent, uuid) >= 0 && access(path, F_OK) >= 0;
}

/* 0: it was left out. */
static int load_definition(const char *path, const char *parent, const char *uuid, Device *d) {
        _cleanup_(freep) char *text = NULL;
        const char *problem = "it is no JSON";
        json_object *json;
        Device active = {};
        ssize_t n;
        int r;

        n = host_read(path, &text);
        if (n < 0) {
                if (n != -ENOENT)
                        warn("%s cannot be read: %s", path, strerrordesc_np((int)-n));
                return n == -ENOMEM ? -ENOMEM : 0;
        }

        memcpy(d->uuid, uuid, UUID_SIZE);
        json = device_parse_json(text, (size_t)n);
        r = json ? device_load_json(d, json, &problem) : -EBADMSG;
        json_object_put(json);
        if (r < 0) {
                warn("%s is no definition: %s", path, problem);
                return r == -ENOMEM ? r : 0;
        }

        d->defined = host_is_defined(uuid, parent); /* not of a file whose name is another form of the UUID */
        r = device_set(&d->parent, parent);
        if (r >= 0)
                r = host_load_active(uuid, &active);
        d->active = r > 0 && strcmp(active.parent, d->parent) == 0 && strcmp(active.type, d->type) == 0;
        device_done(&active);
        return r < 0 ? r : 1;
}

static int list_parent(int fd, const char *uuid, const char *parent, Devices *devices) {
        _cleanup_(dir_closep) DIR *dir = NULL;
        struct dirent *entry;

        if (directory_list(fd, parent, &dir) < 0)
                return 0;

        while ((entry = directory_next(dir))) {
                char name[UUID_SIZE], path[PATH_MAX];
                Device d = {};
                struct stat st;
                int r;

                if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
                        continue;
                if (device_parse_uuid(entry->d_name, name) < 0 || (uuid && strcmp(uuid, name) != 0))
                        continue;

                r = host_path(path, HOST_CONFIG "/%s/%s", parent, entry->d_name);
                if (r >= 0)
                        r = load_definition(path, parent, name, &d);
                if (r > 0)
                        r = devices_take(devices, &d);
                device_done(&d);
                if (r < 0)
                        return r;
        }

        return 0;
}

int host_list_defined(const char *uuid, const char *parent, Devices *ret_devices) {
        _cleanup_(dir_closep) DIR *dir = NULL;
        char path[PATH_MAX];
        struct dirent *entry;
        struct stat st;
        int r;

        r = host_path(path, HOST_CONFIG);
        if (r >= 0)
                r = directory_list(AT_FDCWD, path, &dir);
        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return fail(r, "%s cannot be read: %s", path, strerrordesc_np(-r));

        /* What begins with a dot is where files are written before they are moved to their place. */
        while ((entry = directory_next(dir)))
                if (entry->d_name[0] != '.' && (!parent || strcmp(parent, entry->d_name) == 0) &&
                    fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) >= 0 && S_ISDIR(st.st_mode)) {
                        r = list_parent(dirfd(dir), uuid, entry->d_name, ret_devices);
                        if (r < 0)
                                return fail(r, "%s cannot be listed: %s", path, strerrordesc_np(-r));
                }

        devices_sort(ret_devices);
        return 0;
}

int host_list_active(const char *uuid, const char *parent, Devices *ret_devices) {
        _cleanup_(dir_closep) DIR *dir = NULL;
        char path[PATH_MAX];
        struct dirent *entry;
        int r;

        if (host_path(path, HOST_MDEVS) < 0 || directory_list(AT_FDCWD, path, &dir) < 0)
                return 0;

        while ((entry = directory_next(dir))) {
                Device d = {}, definition = {};

                if (device_parse_uuid(entry->d_name, d.uuid) < 0 || (uuid && strcmp(uuid, d.uuid) != 0))
                        continue;

                r = host_load_active(d.uuid, &d);
                if (r > 0 && (!parent || strcmp(parent, d.parent) == 0)) {
                        d.defined = host_is_defined(d.uuid, d.parent);
                        r = host_path(path, HOST_CONFIG "/%s/%s", d.parent, d.uuid);
                        if (r >= 0 && d.defined && load_definition(path, d.parent, d.uuid, &definition) > 0)
                                d.autostart = definition.autostart;
                        r = devices_take(ret_devices, &d);
                }
                device_done(&definition);
                device_done(&d);
                if (r < 0)
                        return fail(r, "devices cannot be listed: %s", strerrordesc_np(-r));
        }

        devices_sort(ret_devices);
        return 0;
}

int host_get_defined(const char *uuid, const char *parent, Device *ret_device) {
        _cleanup_(devices_done) Devices devices = {};
        int r;

        r = host_list_defined(uuid, parent, &devices);
        if (r < 0)
                return r;
        if (devices.n == 0)
                return fail(-ENOENT, "%s%s%s is not defined", parent ?: "", parent ? "/" : "", uuid);
        if (devices.n > 1)
                return fail(-EEXIST, "%s is defined several times: name the parent", uuid);

        *ret_device = devices.items[0];
        devices.items[0] = (Device){};
        return 0;
}
