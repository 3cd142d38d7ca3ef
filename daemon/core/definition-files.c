/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "core/definition-files.h"
#include "core/manager.h"
#include "core/vgpu.h"
#include "util/file.h"
#include "util/log.h"
#include "util/text.h"

/* mdevctl writes into the file that is there: its first event says nothing yet, that it was closed does. A link that was
 * made of a whole file has the first one only. Who may write to a file counts as well. */
#define FILE_EVENTS (IN_CREATE | IN_CLOSE_WRITE | IN_ATTRIB | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE)
#define FOLDER_EVENTS (IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ONLYDIR)

/* Far over what any host has. */
#define FOLDERS_MAX 4096U
#define FILES_MAX 65536U
#define RETRY_USEC (1000U * 1000U)

/* One parent's folder. */
typedef struct Folder {
        DefinitionFiles *files;
        List link; /* in files->folders */
        bool seen;
        int fd;
        ino_t inode;
        sd_event_source *watch;
        List list; /* DefinitionFile.folder_link */
        char parent[SYSFS_NAME_SIZE];
} Folder;

struct DefinitionFiles {
        Manager *manager;
        VGpuKind kind; /* VGPU_MDEV: mdevctl's; else ours */
        const char *base; /* below /etc */
        int fd; /* of it, or -EBADF */
        ino_t inode;
        sd_event_source *watch;
        sd_event_source *base_watch; /* of /etc: the folder itself comes and goes */
        sd_event_source *retry; /* something could not be read for want of what may be there again soon */
        List folders;
        size_t n_folders;
        Map map; /* DefinitionFile.node */
        size_t n_broken;
};

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata) {
        (void)definition_files_read_all(userdata);
        return 0;
}

/* No event will tell that there is memory again, or a descriptor. */
static void retry_later(DefinitionFiles *files, int code) {
        int r;

        if (code != -EMFILE && code != -ENFILE && code != -ENOMEM)
                return;

        r = sd_event_source_set_time_relative(files->retry, RETRY_USEC);
        if (r >= 0)
                r = sd_event_source_set_enabled(files->retry, SD_EVENT_ONESHOT);
        if (r < 0)
                log_debug("Cannot arm a timer: %s", strerror(-r));
}

/* Made beforehand, as a timer takes a descriptor. */
static int add_retry(DefinitionFiles *files) {
        int r;

        r = sd_event_add_time_relative(files->manager->event, &files->retry, CLOCK_MONOTONIC, 0, 0, on_retry, files);
        return r < 0 ? r : sd_event_source_set_enabled(files->retry, SD_EVENT_OFF);
}

static void set_problem(DefinitionFiles *files, DefinitionFile *file, const char *problem) {
        if (streq(file->problem, problem))
                return;

        files->n_broken += (size_t)(problem[0] != '\0') - (size_t)(file->problem[0] != '\0');
        (void)text_copy(file->problem, sizeof(file->problem), problem);
        OBSERVE(files->manager, problems_changed, files->manager);
}

/* Its vGPU is not told. */
static VGpu *file_free(DefinitionFiles *files, DefinitionFile *file) {
        VGpu *vgpu = file->vgpu;

        set_problem(files, file, "");
        map_remove(&files->map, &file->node);
        list_unlink(&file->folder_link);
        list_unlink(&file->link);
        if (vgpu->file == file)
                vgpu->file = NULL;
        if (!list_is_empty(&vgpu->files)) /* it was one of several */
                OBSERVE(files->manager, problems_changed, files->manager);
        definition_done(&file->definition);
        free(file);
        return vgpu;
}

static void make_key(char key[static SYSFS_NAME_SIZE + UUID_STRING_SIZE], const char *parent, const char *uuid) {
        (void)snprintf(key, SYSFS_NAME_SIZE + UUID_STRING_SIZE, "%s/%s", parent, uuid);
}

static DefinitionFile *find_file(const DefinitionFiles *files, const char *parent, const char *uuid) {
        char key[SYSFS_NAME_SIZE + UUID_STRING_SIZE];

        make_key(key, parent, uuid);
        return MAP_FIND(&files->map, key, DefinitionFile, node);
}

/* A file for which there was none, in the list of its vGPU, which is made if need be. */
static int file_new(Folder *folder, const char *uuid, DefinitionFile **ret_file) {
        DefinitionFiles *files = folder->files;
        DefinitionFile *file;
        VGpu *vgpu;
        int r;

        if (files->map.n >= FILES_MAX)
                return -E2BIG;

        file = calloc(1, sizeof(DefinitionFile));
        if (!file)
                return -ENOMEM;

        make_key(file->key, folder->parent, uuid);
        vgpu = MAP_FIND(&files->manager->vgpus, uuid, VGpu, node);
        r = vgpu ? 0 : vgpu_new(files->manager, uuid, &vgpu);
        if (r >= 0)
                r = map_add(&files->map, &file->node, file->key);
        if (r < 0) {
                if (vgpu && !vgpu->linked && list_is_empty(&vgpu->files) && !vgpu->operation && !vgpu->present)
                        vgpu_free(vgpu);
                free(file);
                return r;
        }

        file->vgpu = vgpu;
        list_append(&folder->list, &file->folder_link);
        if (!list_is_empty(&vgpu->files))
                OBSERVE(files->manager, problems_changed, files->manager);
        list_append(&vgpu->files, &file->link);
        *ret_file = file;
        return 0;
}

/* The text of a definition, terminated. Nothing but a regular file is opened: a pipe would wait, a device might act. */
static int read_text(int folder_fd, const char *uuid, char **ret_text, size_t *ret_size, Error *error) {
        _cleanup_(fd_closep) int fd = -EBADF;
        _cleanup_(freep) char *text = NULL;
        struct stat st;
        size_t n = 0;
        ssize_t k;

        if (fstatat(folder_fd, uuid, &st, 0) < 0)
                return error_set(error, negative_errno(), "it cannot be read: %s", strerrordesc_np(errno));
        if (!S_ISREG(st.st_mode))
                return error_set(error, -EBADMSG, "it is no regular file");
        if (st.st_mode & S_IWOTH)
                return error_set(error, -EBADMSG, "everybody may write to it");
        if ((uint64_t)st.st_size > DEFINITION_TEXT_MAX)
                return error_set(error, -E2BIG, "it is larger than %zu bytes", DEFINITION_TEXT_MAX);

        fd = openat(folder_fd, uuid, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd < 0)
                return error_set(error, negative_errno(), "it cannot be read: %s", strerrordesc_np(errno));
        text = malloc((size_t)st.st_size + 2);
        if (!text)
                return error_set_errno(error, -ENOMEM, "it cannot be read");

        while (n <= (size_t)st.st_size) {
                k = read(fd, text + n, (size_t)st.st_size + 1 - n);
                if (k < 0)
                        return error_set(error, negative_errno(), "it cannot be read: %s", strerrordesc_np(errno));
                if (k == 0)
                        break;
                n += (size_t)k;
        }

        text[n] = '\0';
        *ret_text = TAKE(text);
        *ret_size = n;
        return 0;
}

/* -ENOENT: it is not there. Whatever else is wrong is said in *error, and *ret is as empty as it was. */
static int load(int folder_fd, const char *uuid, Definition *ret, Error *error) {
        _cleanup_(freep) char *text = NULL;
        size_t size = 0;
        int r;

        r = read_text(folder_fd, uuid, &text, &size, error);
        return r < 0 ? r : definition_parse(text, size, ret, error);
}

static DefinitionFile *read_file(Folder *folder, const char *uuid) {
        DefinitionFile *file = find_file(folder->files, folder->parent, uuid);
        Error error = ERROR_NULL;
        Definition definition = { .kind = folder->files->kind };
        char problem[REASON_SIZE];
        int r;

        (void)text_copy(definition.parent, sizeof(definition.parent), folder->parent);
        r = load(folder->fd, uuid, &definition, &error);
        retry_later(folder->files, r);
        (void)text_copy(problem, sizeof(problem), error.message);
        if (r == -ENOENT) {
                if (file)
                        vgpu_files_changed(file_free(folder->files, file));
                return NULL;
        }

        if (!file) {
                r = file_new(folder, uuid, &file);
                if (r < 0) {
                        log_debug("The definition %s/%s is left out: %s", folder->parent, uuid, strerror(-r));
                        definition_done(&definition);
                        return NULL;
                }
        }

        file->seen = true;
        /* Several events may speak of one change, and a folder is read for one file of many. */
        if (definition_equal(&file->definition, &definition) && streq(file->problem, problem)) {
                definition_done(&definition);
                return file;
        }

        definition_done(&file->definition);
        file->definition = definition;
        set_problem(folder->files, file, problem);
        vgpu_files_changed(file->vgpu);
        return file;
}

/* Only names in the one form that mdevctl writes are definitions; it passes over others as well. */
static bool is_definition(const char *name) {
        char uuid[UUID_STRING_SIZE];

        return text_parse_uuid(name, uuid) >= 0 && streq(name, uuid);
}

static bool is_empty_file(int folder_fd, const char *name) {
        struct stat st;

        return fstatat(folder_fd, name, &st, 0) >= 0 && S_ISREG(st.st_mode) && st.st_size == 0;
}

static int on_file(sd_event_source *source, const struct inotify_event *event, void *userdata) {
        Folder *folder = userdata;

        if (event->mask & IN_Q_OVERFLOW)
                (void)definition_files_read_all(folder->files);
        else if (event->len > 0 && is_definition(event->name) &&
                 /* Just opened to be written: there is more to come. */
                 !((event->mask & (IN_CREATE | IN_ATTRIB)) && is_empty_file(folder->fd, event->name)))
                (void)read_file(folder, event->name);

        return 0;
}

/* The vGPUs are told of files that they had in it, but not when all ends. */
static void folder_free(Folder *folder, bool tell) {
        DefinitionFile *file;

        LIST_FOREACH(file, &folder->list, folder_link) {
                VGpu *vgpu = file_free(folder->files, file);

                if (tell)
                        vgpu_files_changed(vgpu);
        }

        sd_event_source_disable_unref(folder->watch);
        list_unlink(&folder->link);
        folder->files->n_folders--;
        fd_close(folder->fd);
        free(folder);
}

static Folder *find_folder(const DefinitionFiles *files, const char *parent) {
        Folder *folder;

        LIST_FOREACH(folder, &files->folders, link)
                if (streq(folder->parent, parent))
                        return folder;

        return NULL;
}

static int folder_new(DefinitionFiles *files, const char *parent, Folder **ret_folder) {
        Folder *folder;

        if (files->n_folders >= FOLDERS_MAX)
                return -E2BIG;

        folder = calloc(1, sizeof(Folder));
        if (!folder)
                return -ENOMEM;

        folder->files = files;
        folder->fd = -EBADF;
        list_init(&folder->list);
        (void)text_copy(folder->parent, sizeof(folder->parent), parent);
        list_append(&files->folders, &folder->link);
        files->n_folders++;
        *ret_folder = folder;
        return 0;
}

/* Watched before it is read. One that was removed and made again is another one. */
static int folder_watch(Folder *folder, int *fd) {
        struct stat st;
        int r;

        if (fstat(*fd, &st) < 0)
                return negative_errno();
        if (folder->fd >= 0 && folder->inode == st.st_ino)
                return 0;

        folder->watch = sd_event_source_disable_unref(folder->watch);
        r = sd_event_add_inotify_fd(folder->files->manager->event, &folder->watch, *fd, FILE_EVENTS | IN_ONLYDIR,
                                    on_file, folder);
        if (r < 0)
                return r;

        fd_close(folder->fd);
        folder->fd = TAKE_FD(*fd);
        folder->inode = st.st_ino;
        return 0;
}

/* -ENOENT: there is no such folder (any more), nor anything of it. Else what was known of it stays. */
static int open_folder(DefinitionFiles *files, const char *parent, Folder **ret_folder) {
        Folder *folder = find_folder(files, parent);
        _cleanup_(fd_closep) int fd = -EBADF;
        int r;

        fd = openat(files->fd, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (fd < 0 && errno != ENOENT && errno != ENOTDIR && errno != ELOOP)
                return negative_errno();
        if (fd < 0) {
                if (folder)
                        folder_free(folder, /* tell= */ true);
                return -ENOENT;
        }

        r = folder ? 0 : folder_new(files, parent, &folder);
        if (r >= 0)
                r = folder_watch(folder, &fd);
        if (r < 0)
                return r;

        *ret_folder = folder;
        return 0;
}

static int read_folder(DefinitionFiles *files, const char *parent) {
        _cleanup_(dir_closep) DIR *dir = NULL;
        DefinitionFile *file;
        struct dirent *entry;
        Folder *folder;
        int r;

        r = open_folder(files, parent, &folder);
        if (r >= 0)
                r = directory_list(folder->fd, ".", &dir);
        if (r < 0)
                return r == -ENOENT ? 0 : r;

        folder->seen = true;
        LIST_FOREACH(file, &folder->list, folder_link)
                file->seen = false;

        errno = 0;
        while ((entry = directory_next(dir))) {
                if (is_definition(entry->d_name))
                        (void)read_file(folder, entry->d_name);
                errno = 0;
        }
        if (errno > 0)
                return negative_errno();

        LIST_FOREACH(file, &folder->list, folder_link)
                if (!file->seen)
                        vgpu_files_changed(file_free(files, file));
        return 0;
}

/* Scripts are mdevctl's; what begins with a dot is being made. */
bool definition_files_take(const char *parent) {
        return text_is_name(parent) && strlen(parent) < SYSFS_NAME_SIZE && parent[0] != '.' &&
               !streq(parent, "scripts.d");
}

static int on_folder(sd_event_source *source, const struct inotify_event *event, void *userdata) {
        DefinitionFiles *files = userdata;

        if (event->mask & IN_Q_OVERFLOW)
                (void)definition_files_read_all(files);
        else if (event->len > 0 && definition_files_take(event->name) && files->fd >= 0)
                retry_later(files, read_folder(files, event->name));
        return 0;
}

/* Its name in the folder that it is in. */
static const char *base_name(const DefinitionFiles *files) {
        const char *slash = strrchr(files->base, '/');

        return slash ? slash + 1 : files->base;
}

/* The folder is held open, so that it is not told of its own end: the one that it is in is. */
static int on_base(sd_event_source *source, const struct inotify_event *event, void *userdata) {
        DefinitionFiles *files = userdata;

        if ((event->mask & IN_Q_OVERFLOW) || (event->len > 0 && streq(event->name, base_name(files))))
                (void)definition_files_read_all(files);
        return 0;
}

static void close_base(DefinitionFiles *files) {
        files->watch = sd_event_source_disable_unref(files->watch);
        files->fd = fd_close(files->fd);
}

static int watch_base(DefinitionFiles *files) {
        size_t n_above = (size_t)(base_name(files) - files->base);
        int etc_fd = files->manager->host->etc_fd;
        _cleanup_(fd_closep) int above_fd = -EBADF;
        char above[64];

        if (etc_fd < 0)
                return -EBADF;
        if (files->base_watch)
                return 0;

        (void)snprintf(above, sizeof(above), "%.*s", (int)n_above, files->base);
        if (n_above > 0)
                (void)mkdirat(etc_fd, above, 0755);
        above_fd = directory_open(etc_fd, n_above > 0 ? above : ".");
        if (above_fd < 0)
                return above_fd;

        /* libvirt watches the folder only if it is there when libvirt starts. */
        (void)mkdirat(etc_fd, files->base, 0755);
        return sd_event_add_inotify_fd(files->manager->event, &files->base_watch, above_fd, FOLDER_EVENTS, on_base,
                                       files);
}

static int open_base(DefinitionFiles *files) {
        _cleanup_(fd_closep) int fd = -EBADF;
        struct stat st;
        int r;

        r = watch_base(files);
        if (r < 0)
                return r;

        r = fd = directory_open(files->manager->host->etc_fd, files->base);
        if (r == -ENOTDIR || r == -ELOOP)
                r = -ENOENT;
        if (r == -ENOENT)
                close_base(files);
        if (r < 0)
                return r;
        if (fstat(fd, &st) < 0)
                return negative_errno();
        if (files->fd >= 0 && files->inode == st.st_ino)
                return 0;

        files->watch = sd_event_source_disable_unref(files->watch);
        r = sd_event_add_inotify_fd(files->manager->event, &files->watch, fd, FOLDER_EVENTS, on_folder, files);
        if (r < 0)
                return r;

        files->inode = st.st_ino;
        files->fd = TAKE_FD(fd);
        return 0;
}

static int read_folders(DefinitionFiles *files) {
        _cleanup_(dir_closep) DIR *dir = NULL;
        struct dirent *entry;
        int r, first = 0;

        r = directory_list(files->fd, ".", &dir);
        if (r < 0)
                return r;

        errno = 0;
        while ((entry = directory_next(dir))) {
                if (definition_files_take(entry->d_name)) {
                        r = read_folder(files, entry->d_name);
                        if (r < 0)
                                log_debug("/etc/%s/%s cannot be read: %s", files->base, entry->d_name, strerror(-r));
                        first = first < 0 ? first : r;
                }
                errno = 0;
        }

        return errno > 0 ? negative_errno() : first;
}

int definition_files_read_all(DefinitionFiles *files) {
        Folder *folder;
        int r;

        LIST_FOREACH(folder, &files->folders, link)
                folder->seen = false;

        r = open_base(files);
        if (r >= 0)
                r = read_folders(files);
        /* Not to be had is not the same as gone. */
        if (r < 0 && r != -ENOENT) {
                log_debug("Not all of /etc/%s can be read: %s", files->base, strerror(-r));
                retry_later(files, r);
                return r;
        }

        LIST_FOREACH(folder, &files->folders, link)
                if (!folder->seen)
                        folder_free(folder, /* tell= */ true);
        return 0;
}

DefinitionFile *definition_files_read(DefinitionFiles *files, const char *parent, const char *uuid) {
        Folder *folder;

        if (files->fd < 0 || open_folder(files, parent, &folder) < 0) {
                (void)definition_files_read_all(files);
                return find_file(files, parent, uuid);
        }

        return read_file(folder, uuid);
}

bool definition_files_has_workshop(const DefinitionFiles *files) {
        return files->fd >= 0 && path_exists(files->fd, DEFINITIONS_WORKSHOP);
}

int definition_files_new(Manager *manager, VGpuKind kind, DefinitionFiles **ret_files) {
        DefinitionFiles *files;
        int r;

        files = calloc(1, sizeof(DefinitionFiles));
        if (!files)
                return -ENOMEM;

        files->manager = manager;
        files->kind = kind;
        files->base = definition_folder(kind);
        files->fd = -EBADF;
        list_init(&files->folders);
        r = add_retry(files);
        if (r < 0) {
                definition_files_free(files);
                return r;
        }

        *ret_files = files;
        return 0;
}

/* Their vGPUs are the manager's to free, and go without being told. */
DefinitionFiles *definition_files_free(DefinitionFiles *files) {
        Folder *folder;

        if (!files)
                return NULL;

        sd_event_source_disable_unref(files->retry);
        sd_event_source_disable_unref(files->base_watch);
        close_base(files);
        LIST_FOREACH(folder, &files->folders, link)
                folder_free(folder, /* tell= */ false);
        map_done(&files->map);
        free(files);
        return NULL;
}

size_t definition_files_count_broken(const DefinitionFiles *files) {
        return files->n_broken;
}

static int report_file(const DefinitionFiles *files, const DefinitionFile *file, ConfigReport *report) {
        char path[SYSFS_NAME_SIZE + UUID_STRING_SIZE + 64];

        (void)snprintf(path, sizeof(path), "/etc/%s/%s", files->base, file->key);
        if (file->problem[0] != '\0')
                return config_report_add(report, path, 0, 0, PROBLEM_ERROR, "%s", file->problem);
        if (file->vgpu->file && file->vgpu->file != file)
                return config_report_add(report, path, 0, 0, PROBLEM_WARNING,
                                         "the same UUID is defined for %s as well, and that is what counts",
                                         file->vgpu->file->definition.parent);

        return 0;
}

int definition_files_report(const DefinitionFiles *files, ConfigReport *report) {
        const DefinitionFile *file;
        const Folder *folder;
        int r;

        LIST_FOREACH(folder, &files->folders, link)
                LIST_FOREACH(file, &folder->list, folder_link) {
                        r = report_file(files, file, report);
                        if (r < 0)
                                return r;
                }

        return 0;
}
