/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * mdev-cli: what Mdev-GPU's program of that name did, by way of the daemon. The file's types become profiles for the time
 * until the next boot, as that program's did: below /run, in mdevgpud's own form, where an administrator sees them. What
 * came of each type is printed, and the exit status says whether all of it is registered.
 *
 * Whatever the daemon cannot take leaves the profiles as they were.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#define FOLDER "/run/mdevgpud/types.d"
#define PREFIX "60-mdev-cli-"
#define OWN_FILE "/etc/gvm/mdev-gpu/generate-vgpu-types.yaml"

/* Mdev-GPU's file has 64 entries at most, each of which becomes a profile; -k adds further files'. */
#define PROFILES_MAX 256U

/* Registering may wait for a driver. */
#define CALL_USEC (UINT64_C(120) * 1000 * 1000)

typedef struct Profiles {
        char *texts[PROFILES_MAX];
        size_t n;
} Profiles;

static int fail(const char *what, int r) {
        fprintf(stderr, "mdev-cli: %s: %s\n", what, strerror(-r));
        return r;
}

static int usage(FILE *stream) {
        fprintf(stream, "mdev-cli -c FILE [-k]\n\n"
                        "Has mdevgpud register the vGPU types of an Mdev-GPU file, until the next boot.\n\n"
                        "  -c --config FILE  The file, YAML, or JSON\n"
                        "  -k --keep         Keep what earlier files have asked for\n"
                        "     --help         Show this\n\n"
                        "See mdevgpud-mdev-gpu(5).\n");
        return stream == stdout ? EXIT_SUCCESS : 2;
}

static void profiles_done(Profiles *profiles) {
        for (size_t i = 0; i < profiles->n; i++)
                free(profiles->texts[i]);
        *profiles = (Profiles){};
}

static int profiles_add(Profiles *profiles, const char *text, size_t size) {
        if (profiles->n >= PROFILES_MAX)
                return -E2BIG;

        profiles->texts[profiles->n] = strndup(text, size);
        if (!profiles->texts[profiles->n])
                return -ENOMEM;

        profiles->n++;
        return 0;
}

/* A line that begins with three dashes separates them. */
static int profiles_split(Profiles *profiles, const char *text) {
        const char *end;
        int r;

        while ((end = strstr(text, "\n---"))) {
                r = profiles_add(profiles, text, (size_t)(end - text) + 1);
                if (r < 0)
                        return r;

                text = strchr(end + 1, '\n');
                if (!text)
                        return 0;
                text++;
        }

        return profiles_add(profiles, text, strlen(text));
}

static int read_all(int fd, char **ret) {
        FILE *stream = fdopen(fd, "r");
        char *text = NULL;
        size_t size = 0;
        ssize_t n;

        if (!stream) {
                (void)close(fd);
                return -ENOMEM;
        }

        errno = 0;
        n = getdelim(&text, &size, '\0', stream);
        (void)fclose(stream);
        if (n < 0) { /* nothing came */
                free(text);
                text = strdup("");
        }
        *ret = text;
        return text ? 0 : -ENOMEM;
}

/* The program that knows the format; what it finds wrong it says itself. */
static int convert(const char *file, char **ret_text) {
        int fds[2], status, r;
        pid_t pid;

        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;

        pid = fork();
        if (pid < 0) {
                r = -errno;
                (void)close(fds[0]);
                (void)close(fds[1]);
                return r;
        }
        if (pid == 0) {
                if (dup2(fds[1], STDOUT_FILENO) >= 0)
                        (void)execl(IMPORT_PATH, "mdevgpud-import", "mdev-gpu", file, NULL);
                fprintf(stderr, "mdev-cli: %s cannot be run: %s\n", IMPORT_PATH, strerror(errno));
                _exit(127);
        }

        (void)close(fds[1]);
        r = read_all(fds[0], ret_text);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
        }
        if (r < 0)
                return r;

        return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EBADMSG;
}

static bool is_ours(const char *name) {
        return strncmp(name, PREFIX, strlen(PREFIX)) == 0;
}

/* Those of our files whose names end in from get to in its place; with to "" they are deleted. */
static int move_files(DIR *dir, const char *from, const char *to) {
        struct dirent *entry;
        char name[NAME_MAX + 1];

        rewinddir(dir);
        while ((entry = readdir(dir))) {
                size_t n = strlen(entry->d_name), n_from = strlen(from);

                if (!is_ours(entry->d_name) || n <= n_from || strcmp(entry->d_name + n - n_from, from) != 0)
                        continue;

                (void)snprintf(name, sizeof(name), "%.*s%s", (int)(n - n_from), entry->d_name, to);
                if (*to ? renameat(dirfd(dir), entry->d_name, dirfd(dir), name) < 0
                        : unlinkat(dirfd(dir), entry->d_name, 0) < 0)
                        return -errno;
        }

        return 0;
}

/* The number behind the greatest that is there. */
static unsigned first_number(DIR *dir) {
        struct dirent *entry;
        unsigned next = 0;

        rewinddir(dir);
        while ((entry = readdir(dir)))
                if (is_ours(entry->d_name)) {
                        unsigned n = (unsigned)strtoul(entry->d_name + strlen(PREFIX), NULL, 10);

                        next = n >= next ? n + 1 : next;
                }

        return next;
}

static int write_file(int dir_fd, const char *name, const char *text) {
        size_t size = strlen(text);
        int fd;

        fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
        if (fd < 0)
                return -errno;

        while (size > 0) {
                ssize_t n = write(fd, text, size);

                if (n < 0 && errno != EINTR) {
                        int r = -errno;

                        (void)close(fd);
                        return r;
                }
                text += n > 0 ? n : 0;
                size -= n > 0 ? (size_t)n : 0;
        }

        return close(fd) < 0 ? -errno : 0;
}

static const char *profile_name(unsigned number, const char *suffix, char buffer[static 64]) {
        (void)snprintf(buffer, 64, PREFIX "%06u.yaml%s", number, suffix);
        return buffer;
}

/* All are whole before the first has a name that the daemon reads. */
static int write_profiles(DIR *dir, unsigned first, const Profiles *profiles) {
        char name[64], temporary[64];
        int r = 0;

        for (size_t i = 0; i < profiles->n && r >= 0; i++)
                r = write_file(dirfd(dir), profile_name(first + (unsigned)i, ".new", name), profiles->texts[i]);
        for (size_t i = 0; i < profiles->n && r >= 0; i++)
                if (renameat(dirfd(dir), profile_name(first + (unsigned)i, ".new", temporary), dirfd(dir),
                             profile_name(first + (unsigned)i, "", name)) < 0)
                        r = -errno;

        return r;
}

static void delete_profiles(DIR *dir, unsigned first, const Profiles *profiles) {
        char name[64];

        for (size_t i = 0; i < profiles->n; i++)
                (void)unlinkat(dirfd(dir), profile_name(first + (unsigned)i, "", name), 0);
}

static int open_folder(DIR **ret) {
        if ((mkdir("/run/mdevgpud", 0755) < 0 && errno != EEXIST) || (mkdir(FOLDER, 0755) < 0 && errno != EEXIST))
                return -errno;

        *ret = opendir(FOLDER);
        if (!*ret || flock(dirfd(*ret), LOCK_EX) < 0) /* two of them would undo each other's */
                return -errno;

        return 0;
}

static int call(sd_bus *bus, const char *method, sd_bus_message **ret_reply, sd_bus_error *error) {
        sd_bus_message *message = NULL;
        int r;

        r = sd_bus_message_new_method_call(bus, &message, "org.mdevgpu1", "/org/mdevgpu1", "org.mdevgpu1.Manager",
                                           method);
        if (r >= 0)
                r = sd_bus_message_append(message, "a{sv}", 0);
        if (r >= 0)
                r = sd_bus_call(bus, message, CALL_USEC, error, ret_reply);
        sd_bus_message_unref(message);
        return r;
}

static int reload(sd_bus *bus, bool quiet) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        r = call(bus, "Reload", NULL, &error);
        if (r < 0 && !quiet)
                fprintf(stderr, "mdev-cli: %s\n", error.message ? error.message : strerror(-r));
        sd_bus_error_free(&error);
        return r;
}

typedef struct Row {
        const char *gpu, *id, *name, *source, *registration, *reason;
} Row;

/* The entries of a row's dictionary that matter here. */
static int read_entries(sd_bus_message *m, Row *row) {
        int r;

        r = sd_bus_message_enter_container(m, 'a', "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                const char *key, *contents, **target;
                char type;

                r = sd_bus_message_read(m, "s", &key);
                if (r >= 0)
                        r = sd_bus_message_peek_type(m, &type, &contents);
                if (r < 0)
                        return r;

                target = strcmp(key, "registration") == 0 ? &row->registration
                         : strcmp(key, "reason") == 0     ? &row->reason
                         : strcmp(key, "source") == 0     ? &row->source
                                                          : NULL;
                r = target && strcmp(contents, "s") == 0 ? sd_bus_message_read(m, "v", "s", target)
                                                         : sd_bus_message_skip(m, "v");
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }

        return r < 0 ? r : sd_bus_message_exit_container(m);
}

/* 1: there was one. */
static int read_row(sd_bus_message *m, Row *row) {
        int r;

        *row = (Row){};
        r = sd_bus_message_enter_container(m, 'r', "ssssuuoa{sv}");
        if (r <= 0)
                return r;

        r = sd_bus_message_read(m, "ssssuuo", &row->gpu, &row->id, &row->name, NULL, NULL, NULL, NULL);
        if (r >= 0)
                r = read_entries(m, row);
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        return r < 0 ? r : 1;
}

/* Whether the file is about the type that the driver calls so: <driver>-<number>. */
static bool is_asked_for(const Profiles *profiles, const char *id) {
        const char *number = strrchr(id, '-');
        char key[64];

        if (profiles->n == 0) /* the daemon's own file */
                return true;
        (void)snprintf(key, sizeof(key), "- {id: %.32s,", number ? number + 1 : id);
        for (size_t i = 0; i < profiles->n; i++)
                if (strstr(profiles->texts[i], key))
                        return true;

        return false;
}

/* What came of each type of a profile. -EIO if that is not all that was asked for. */
static int print_outcome(sd_bus *bus, const Profiles *profiles) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *reply = NULL;
        unsigned n = 0;
        bool all = true;
        Row row;
        int r;

        r = call(bus, "ListTypes", &reply, &error);
        if (r < 0)
                fprintf(stderr, "mdev-cli: %s\n", error.message ? error.message : strerror(-r));
        if (r >= 0)
                r = sd_bus_message_enter_container(reply, 'a', "(ssssuuoa{sv})");
        while (r >= 0 && (r = read_row(reply, &row)) > 0) {
                bool registered = row.registration && strcmp(row.registration, "registered") == 0;

                if (!row.source || strcmp(row.source, "profile") != 0 || !is_asked_for(profiles, row.id))
                        continue;
                n++;
                all = all && registered;
                printf("%s %s \"%s\" %s%s%s\n", row.gpu, row.id, row.name, row.registration ?: "unknown",
                       row.reason && *row.reason ? ": " : "", row.reason ?: "");
        }

        sd_bus_message_unref(reply);
        sd_bus_error_free(&error);
        if (r >= 0 && n == 0) {
                fprintf(stderr, "mdev-cli: no GPU is there whose driver takes these types\n");
                return -ENODEV;
        }
        return r < 0 ? r : all ? 0 : -EIO;
}

/* The daemon reads names that end in .yaml alone: what is to go waits under another one until it is known. */
static int exchange(sd_bus *bus, DIR *dir, const Profiles *profiles, bool keep) {
        unsigned first;
        int r;

        r = move_files(dir, ".yaml.new", ""); /* of one that was interrupted */
        if (r >= 0)
                r = move_files(dir, ".yaml.old", ".yaml");
        first = first_number(dir);
        if (r >= 0 && !keep)
                r = move_files(dir, ".yaml", ".yaml.old");
        if (r >= 0)
                r = write_profiles(dir, first, profiles);
        if (r < 0)
                (void)fail(FOLDER, r);
        else
                r = reload(bus, /* quiet= */ false);
        if (r >= 0)
                return move_files(dir, ".yaml.old", "");

        delete_profiles(dir, first, profiles);
        (void)move_files(dir, ".yaml.old", ".yaml");
        /* What was refused is not there any more, and the daemon shall not go on telling of it. */
        (void)reload(bus, /* quiet= */ true);
        return r;
}

static int register_types(const Profiles *profiles, bool keep) {
        sd_bus *bus = NULL;
        DIR *dir = NULL;
        int r;

        r = sd_bus_open_system(&bus);
        if (r < 0)
                return fail("the system bus cannot be reached", r);

        r = open_folder(&dir);
        if (r < 0)
                (void)fail(FOLDER, r);
        else
                r = exchange(bus, dir, profiles, keep);
        if (r >= 0)
                r = print_outcome(bus, profiles);

        if (dir)
                (void)closedir(dir);
        sd_bus_flush_close_unref(bus);
        return r;
}

/* That one the daemon reads by itself. */
static bool is_own_file(const char *file) {
        struct stat a, b;

        return stat(file, &a) >= 0 && stat(OWN_FILE, &b) >= 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

int main(int argc, char **argv) {
        static const struct option options[] = {
                { "config", required_argument, NULL, 'c' },
                { "keep", no_argument, NULL, 'k' },
                { "help", no_argument, NULL, 'h' },
                {},
        };
        Profiles profiles = {};
        const char *file = NULL;
        char *text = NULL;
        bool keep = false;
        int c, r;

        while ((c = getopt_long(argc, argv, "c:kh", options, NULL)) >= 0)
                switch (c) {
                case 'c':
                        file = optarg;
                        break;
                case 'k':
                        keep = true;
                        break;
                case 'h':
                        return usage(stdout);
                default:
                        return usage(stderr);
                }
        if (!file || optind < argc)
                return usage(stderr);

        r = convert(file, &text);
        if (r >= 0 && !is_own_file(file))
                r = profiles_split(&profiles, text);
        if (r < 0 && r != -EBADMSG)
                (void)fail(file, r);
        if (r >= 0)
                r = register_types(&profiles, keep);

        profiles_done(&profiles);
        free(text);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
