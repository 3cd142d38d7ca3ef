/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <sys/stat.h>

#include "core/definition.h"
#include "core/record.h"
#include "util/file.h"
#include "worker/state-store.h"
#include "worker/store.h"

int folder_open(int dir_fd, const char *name, mode_t mode) {
        int fd;

        if (mkdirat(dir_fd, name, mode) < 0) {
                if (errno != EEXIST)
                        return negative_errno();
        } else if (fchmodat(dir_fd, name, mode, 0) < 0 || fsync(dir_fd) < 0) /* whatever our umask is */
                return negative_errno();

        fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        return fd < 0 ? negative_errno() : fd;
}

static int write_durable(int dir_fd, const char *name, const char *text, mode_t mode) {
        _cleanup_(fd_closep) int fd = -EBADF;
        int r;

        /* Left by one that was killed. */
        (void)unlinkat(dir_fd, name, 0);
        fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
        if (fd < 0)
                return negative_errno();

        r = file_write_all(fd, text, strlen(text));
        if (r >= 0 && fchmod(fd, mode) < 0)
                r = negative_errno();
        if (r >= 0 && fsync(fd) < 0)
                r = negative_errno();
        if (r < 0)
                (void)unlinkat(dir_fd, name, 0);
        return r;
}

/*
 * Moves a file to its place for good. One that was not there must not be there now, and one that was must be: what
 * somebody else made or removed meanwhile stays as he wants it.
 */
static int move_durable(int from_fd, int to_fd, const char *name, bool exists) {
        if (renameat2(from_fd, name, to_fd, name, exists ? RENAME_EXCHANGE : RENAME_NOREPLACE) < 0)
                return negative_errno();

        if (fsync(to_fd) < 0) {
                int r = negative_errno();

                /* What may not survive is not left to be taken for written. */
                if (exists)
                        (void)renameat2(from_fd, name, to_fd, name, RENAME_EXCHANGE);
                else
                        (void)unlinkat(to_fd, name, 0);
                return r;
        }

        return 0;
}

/* Where a definition is written, and where it goes. */
typedef struct Bench {
        int base_fd;
        int workshop_fd;
        int parent_fd;
} Bench;

#define BENCH_NULL ((Bench){ .base_fd = -EBADF, .workshop_fd = -EBADF, .parent_fd = -EBADF })

/* One writer at a time: what is in it was left by one that was killed. */
static void workshop_clear(const Bench *bench) {
        _cleanup_(dir_closep) DIR *dir = NULL;
        struct dirent *entry;

        if (bench->workshop_fd < 0 || directory_list(bench->workshop_fd, ".", &dir) < 0)
                return;

        while ((entry = directory_next(dir)))
                (void)unlinkat(bench->workshop_fd, entry->d_name, 0);
}

/* Nothing of what was being written is left. */
static void bench_done(Bench *bench) {
        workshop_clear(bench);
        if (bench->workshop_fd >= 0)
                (void)unlinkat(bench->base_fd, DEFINITIONS_WORKSHOP, AT_REMOVEDIR);
        fd_close(bench->parent_fd);
        fd_close(bench->workshop_fd);
        fd_close(bench->base_fd);
}

static int open_definitions(const Host *host, VGpuKind kind) {
        const char *folder = definition_folder(kind), *slash = strchr(folder, '/');
        _cleanup_(fd_closep) int above_fd = -EBADF;
        char above[64];

        if (host->etc_fd < 0)
                return host->etc_fd;
        if (!slash)
                return folder_open(host->etc_fd, folder, 0755);

        (void)snprintf(above, sizeof(above), "%.*s", (int)(slash - folder), folder);
        above_fd = folder_open(host->etc_fd, above, 0755);
        return above_fd < 0 ? above_fd : folder_open(above_fd, slash + 1, 0755);
}

static int bench_open(Bench *bench, const Host *host, const Job *job) {
        int r;

        r = bench->base_fd = open_definitions(host, job->vgpu_kind);
        if (r >= 0)
                r = bench->parent_fd = folder_open(bench->base_fd, job->parent, 0755);
        if (r < 0)
                return r;

        if (mkdirat(bench->base_fd, DEFINITIONS_WORKSHOP, 0700) < 0 && errno != EEXIST)
                return negative_errno();
        r = bench->workshop_fd = directory_open(bench->base_fd, DEFINITIONS_WORKSHOP);
        workshop_clear(bench);
        return r;
}

/* All but the last step of it, which does not need room. */
static int prepare_definition(Bench *bench, const Host *host, const Job *job) {
        Definition definition = {
                .kind = job->vgpu_kind,
                .autostart = job->autostart,
                .attributes = *job->attributes,
        };
        _cleanup_(freep) char *text = NULL;
        bool exists;
        int r;

        memcpy(definition.type_id, job->type_id, strlen(job->type_id) + 1);
        r = definition_format(&definition, &text);
        if (r >= 0)
                r = bench_open(bench, host, job);
        if (r < 0)
                return r;

        /* Before its note is touched, which may be about what is there. */
        exists = path_exists(bench->parent_fd, job->uuid);
        if (exists != (job->action == STORE_UPDATE))
                return exists ? -EEXIST : -ENOENT;

        return write_durable(bench->workshop_fd, job->uuid, text, 0644);
}

static int explain_put(int code, const Job *job, Error *error) {
        const char *folder = definition_folder(job->vgpu_kind);

        if (code == -EEXIST)
                return error_set(error, -ERROR_ALREADY_EXISTS, "/etc/%s/%s/%s is there already", folder, job->parent,
                                 job->uuid);
        if (code == -ENOENT && job->action == STORE_UPDATE)
                return error_set(error, -ERROR_NO_SUCH_VGPU, "Somebody else has just removed /etc/%s/%s/%s", folder,
                                 job->parent, job->uuid);

        return error_set(error, -EIO, "/etc/%s/%s/%s cannot be written: %s", folder, job->parent, job->uuid,
                         strerrordesc_np(-code) ?: "unknown error");
}

/* In the place of the note that is there, if one is; what may not survive does not stay. */
static int move_note(int notes_fd, const char *temporary, const char *uuid) {
        bool exists = path_exists(notes_fd, uuid);
        unsigned flags = exists ? RENAME_EXCHANGE : RENAME_NOREPLACE;
        int r = 0;

        if (renameat2(notes_fd, temporary, notes_fd, uuid, flags) < 0)
                r = negative_errno();
        else if (fsync(notes_fd) < 0) {
                r = negative_errno();
                (void)renameat2(notes_fd, uuid, notes_fd, temporary, flags);
        }
        (void)unlinkat(notes_fd, temporary, 0);
        return r;
}

static int put_note(const Host *host, const Job *job, Error *error) {
        _cleanup_(fd_closep) int notes_fd = -EBADF;
        char text[NOTE_TEXT_SIZE], temporary[UUID_STRING_SIZE + 1];
        Note note = { .managed = job->managed };
        int r;

        memcpy(note.label, job->label, strlen(job->label) + 1);
        (void)owner_parse(strempty(job->owner), &note.owner);
        note_format(&note, text);
        r = host->var_fd < 0 ? host->var_fd : (notes_fd = folder_open(host->var_fd, NOTES_FOLDER, 0700));
        if (r >= 0) {
                (void)snprintf(temporary, sizeof(temporary), ".%s", job->uuid);
                r = write_durable(notes_fd, temporary, text, 0600);
        }
        if (r >= 0)
                r = move_note(notes_fd, temporary, job->uuid);
        if (r < 0)
                return error_set(error, -EIO, "/var/lib/mdevgpud/" NOTES_FOLDER "/%s cannot be written: %s", job->uuid,
                                 strerrordesc_np(-r) ?: "unknown error");

        return 0;
}

static int remove_note(const Host *host, const Job *job, Error *error) {
        int r;

        r = note_remove(host->var_fd, job->uuid);
        if (r < 0 && r != -ENOENT)
                return error_set(error, -EIO, "/var/lib/mdevgpud/" NOTES_FOLDER "/%s cannot be removed: %s", job->uuid,
                                 strerrordesc_np(-r) ?: "unknown error");

        return 0;
}

/* Whoever may have been killed, nobody is at it now: this is the one who writes. */
static void clean(const Host *host) {
        for (VGpuKind kind = 0; kind < VGPU_KIND_MAX; kind++) {
                Bench bench = BENCH_NULL;

                if (host->etc_fd >= 0)
                        bench.base_fd = directory_open(host->etc_fd, definition_folder(kind));
                if (bench.base_fd >= 0)
                        bench.workshop_fd = directory_open(bench.base_fd, DEFINITIONS_WORKSHOP);
                bench_done(&bench);
        }
        note_clean(host->var_fd);
        state_store_clean(host);
}

static int remove_definition(const Host *host, const Job *job, Error *error) {
        _cleanup_(fd_closep) int base_fd = -EBADF, parent_fd = -EBADF;
        int r;

        r = base_fd = open_definitions(host, job->vgpu_kind);
        if (r >= 0)
                r = parent_fd = directory_open(base_fd, job->parent);
        if (r >= 0 && unlinkat(parent_fd, job->uuid, 0) < 0)
                r = negative_errno();
        if (r >= 0 && fsync(parent_fd) < 0)
                r = negative_errno();
        if (r < 0 && r != -ENOENT)
                return error_set(error, -EIO, "/etc/%s/%s/%s cannot be removed: %s", definition_folder(job->vgpu_kind),
                                 job->parent, job->uuid, strerrordesc_np(-r) ?: "unknown error");

        return 0;
}

/*
 * The note before the definition, as a definition without one is not ours, and a note that no definition follows is
 * dropped; but after all that needs room, so that neither is another than before if there is none.
 */
static int put_both(const Host *host, const Job *job, Error *error) {
        Bench bench = BENCH_NULL;
        int r;

        r = prepare_definition(&bench, host, job);
        if (r < 0) {
                r = explain_put(r, job, error);
                if (r == -ERROR_NO_SUCH_VGPU)
                        (void)note_remove(host->var_fd, job->uuid);
                bench_done(&bench);
                return r;
        }

        r = put_note(host, job, error);
        if (r >= 0) {
                r = move_durable(bench.workshop_fd, bench.parent_fd, job->uuid, job->action == STORE_UPDATE);
                if (r < 0) {
                        r = explain_put(r, job, error);
                        if (job->action == STORE_DEFINE || r == -ERROR_NO_SUCH_VGPU)
                                (void)note_remove(host->var_fd, job->uuid);
                }
        }

        bench_done(&bench);
        return r;
}

/* Its codes are those of the model, where ENOSPC, say, means something else: what the disk says is in the sentence. */
int store_run(const Host *host, const Job *job, Error *error) {
        int r;

        switch (job->action) {
        case STORE_NOTE:
                return put_note(host, job, error);
        case STORE_UNDEFINE:
                /* A definition whose note has gone before it would be somebody else's. What is left of the note alone is
                 * dropped when a daemon starts. */
                r = remove_definition(host, job, error);
                if (r >= 0)
                        (void)note_remove(host->var_fd, job->uuid);
                return r;
        case STORE_UNDEFINE_ONE:
                return remove_definition(host, job, error);
        case STORE_FORGET:
                return remove_note(host, job, error);
        case STORE_CLEAN:
                clean(host);
                return 0;
        case STORE_DEFINE:
        case STORE_UPDATE:
                return put_both(host, job, error);
        default:
                return error_set(error, -EINVAL, "That is nothing that can be done with a definition");
        }
}
