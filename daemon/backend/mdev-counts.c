/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "backend/mdev-counts.h"
#include "backend/mdev-parents.h"
#include "util/file.h"
#include "util/text.h"

/* Descriptors that are kept; with more types, those of 32 virtual functions together, each is opened every time. */
#define KEPT_MAX 256U

typedef struct Kept {
        char id[TYPE_ID_SIZE];
        int fd; /* negative: cannot be read */
        uint32_t available; /* as last read */
} Kept;

struct MdevCounts {
        Kept *items;
        size_t n;
        bool sysfs; /* really, and no simulated machine's files */
};

MdevCounts *mdev_counts_free(MdevCounts *counts) {
        if (!counts)
                return NULL;

        for (size_t i = 0; i < counts->n; i++)
                fd_close(counts->items[i].fd);
        free(counts->items);
        free(counts);
        return NULL;
}

DEFINE_CLEANUP(MdevCounts *, mdev_counts_free)

uint32_t mdev_counts_add(uint32_t a, uint32_t b) {
        if (a == UNKNOWN_U32 || b == UNKNOWN_U32)
                return UNKNOWN_U32;

        return a > UNKNOWN_U32 - 1 - b ? UNKNOWN_U32 - 1 : a + b;
}

/* False: the attribute is not there any more, or another has taken its place. */
static bool read_kept(const MdevCounts *counts, Kept *kept) {
        struct stat st;
        uint64_t v;

        if (kept->fd < 0)
                return false;
        /* In sysfs a read of what has gone fails; elsewhere a file lives on without a name. */
        if (!counts->sysfs && (fstat(kept->fd, &st) < 0 || st.st_nlink == 0))
                return false;

        if (attribute_reread_number(kept->fd, UNKNOWN_U32 - 1, &v) < 0)
                return false;

        kept->available = (uint32_t)v;
        return true;
}

static int open_type(MdevCounts *counts, int types_fd, const char *id) {
        Kept kept = { .available = UNKNOWN_U32 };
        char path[SYSFS_NAME_SIZE + 32];
        Kept *items;

        items = reallocarray(counts->items, counts->n + 1, sizeof(Kept));
        if (!items)
                return -ENOMEM;
        counts->items = items;

        (void)text_copy(kept.id, sizeof(kept.id), id);
        (void)snprintf(path, sizeof(path), "%s/available_instances", id);
        kept.fd = openat(types_fd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        (void)read_kept(counts, &kept);
        if (counts->n >= KEPT_MAX)
                kept.fd = fd_close(kept.fd);
        counts->items[counts->n++] = kept;
        return 0;
}

static int open_parent(MdevCounts *counts, const Host *host, const char *parent) {
        _cleanup_(dir_closep) DIR *dir = NULL;
        char path[SYSFS_NAME_SIZE + 64];
        struct dirent *entry;
        int r;

        (void)snprintf(path, sizeof(path), "class/mdev_bus/%s/mdev_supported_types", parent);
        if (directory_list(host->sys_fd, path, &dir) < 0)
                return 0;

        while ((entry = directory_next(dir))) {
                if (!text_is_name(entry->d_name) || strlen(entry->d_name) >= TYPE_ID_SIZE)
                        continue;
                if (counts->n >= REPORT_TYPES_MAX)
                        break;

                r = open_type(counts, dirfd(dir), entry->d_name);
                if (r < 0)
                        return r;
        }

        return 0;
}

static int open_all(const Host *host, const char *gpu, MdevCounts **ret_counts) {
        _cleanup_(mdev_counts_freep) MdevCounts *counts = NULL;
        MdevParents parents;
        struct statfs fs;
        int r;

        counts = calloc(1, sizeof(MdevCounts));
        if (!counts)
                return -ENOMEM;
        counts->sysfs = fstatfs(host->sys_fd, &fs) >= 0 && fs.f_type == SYSFS_MAGIC;

        mdev_parents_read(host, gpu, &parents);
        for (size_t i = 0; i < parents.n; i++) {
                r = open_parent(counts, host, parents.names[i]);
                if (r < 0)
                        return r;
        }

        *ret_counts = TAKE(counts);
        return 0;
}

static bool read_again(MdevCounts *counts) {
        for (size_t i = 0; i < counts->n; i++)
                if (!read_kept(counts, &counts->items[i]))
                        return false;

        return counts->n > 0;
}

static int compare_counts(const void *a, const void *b) {
        const TypeCount *x = a, *y = b;

        return strverscmp(x->id, y->id);
}

static int sum_up(const MdevCounts *counts, TypeCount **ret_counts, size_t *ret_n_counts) {
        TypeCount *rows;
        size_t n = 0;

        rows = calloc(MAX(counts->n, 1U), sizeof(TypeCount));
        if (!rows)
                return -ENOMEM;

        for (size_t i = 0; i < counts->n; i++) {
                const Kept *kept = &counts->items[i];
                size_t k;

                for (k = 0; k < n && !streq(rows[k].id, kept->id); k++)
                        ;
                if (k == n)
                        (void)text_copy(rows[n++].id, TYPE_ID_SIZE, kept->id);
                rows[k].available = mdev_counts_add(rows[k].available, kept->available);
        }

        qsort(rows, n, sizeof(TypeCount), compare_counts);
        *ret_counts = rows;
        *ret_n_counts = n;
        return 0;
}

int mdev_counts_read(BackendContext *c, TypeCount **ret_counts, size_t *ret_n_counts, Error *error) {
        int r = 0;

        if (!c->counts || !read_again(c->counts)) {
                c->counts = mdev_counts_free(c->counts);
                r = open_all(c->host, c->gpu, &c->counts);
        }
        if (r >= 0)
                r = sum_up(c->counts, ret_counts, ret_n_counts);
        return r < 0 ? error_set_errno(error, r, "the types' counts cannot be read") : 0;
}
