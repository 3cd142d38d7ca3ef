/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Dump: one text with everything that somebody who is to help has to know. Each part stands for itself: what cannot be had
 * is said in its place, and the rest follows.
 */

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>

#include "bus.h"
#include "print.h"
#include "text.h"
#include "verbs.h"

#define FILE_SIZE_MAX ((size_t)1 << 20)
#define OUTPUT_SIZE_MAX ((size_t)4 << 20)

/* The folders of the configuration, as mdevgpud reads them: a file of the first hides one of that name in the others. */
static const char *const config_folders[] = {
        "/etc/mdevgpud",     "/etc/mdevgpud/types.d",     "/etc/mdevgpud/topologies.d",
        "/run/mdevgpud",     "/run/mdevgpud/types.d",     "/run/mdevgpud/topologies.d",
        "/usr/lib/mdevgpud", "/usr/lib/mdevgpud/types.d", "/usr/lib/mdevgpud/topologies.d",
        "/etc/gvm/mdev-gpu",
};

static void section(const char *title) {
        printf("\n==== %s ====\n\n", title);
}

/* What others wrote, fit to be read. */
static void print_safe(const char *text) {
        _cleanup_(freep) char *safe = text_escape(text, 0, TEXT_KEEP_NEWLINES);

        fputs(safe ? safe : "(out of memory)\n", stdout);
}

/* All that can be read from fd, up to max bytes, as a string. NULL: nothing, or out of memory. */
static char *read_all(int fd, size_t max) {
        size_t n = 0, size = 4096;
        char *text = malloc(size);

        while (text) {
                ssize_t k = read(fd, text + n, size - n - 1);

                if (k < 0 && errno == EINTR)
                        continue;
                if (k <= 0 || n + (size_t)k >= max)
                        break;
                n += (size_t)k;
                if (n + 1 == size) {
                        char *more = realloc(text, size * 2);

                        if (!more)
                                break;
                        text = more;
                        size *= 2;
                }
        }

        if (text)
                text[n] = 0;
        return text;
}

static void print_file(const char *path) {
        _cleanup_(fd_closep) int fd = -1;
        _cleanup_(freep) char *text = NULL;
        struct stat st;

        fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (fd < 0 || fstat(fd, &st) < 0) {
                printf("(cannot be read: %s)\n", strerror(errno));
                return;
        }
        if (!S_ISREG(st.st_mode)) {
                puts("(is no regular file)");
                return;
        }

        text = read_all(fd, FILE_SIZE_MAX);
        if (text)
                print_safe(text);
}

/* A program's output, errors with it; it is told to keep it short itself. */
static void print_output(const char *const *command) {
        _cleanup_(fd_closep) int reader = -1;
        _cleanup_(freep) char *text = NULL;
        int fds[2];
        pid_t pid;

        (void)fflush(stdout);
        if (pipe2(fds, O_CLOEXEC) < 0)
                return;
        reader = fds[0];

        pid = fork();
        if (pid == 0) {
                int null_fd = open("/dev/null", O_RDONLY);

                if (dup2(null_fd, STDIN_FILENO) < 0 || dup2(fds[1], STDOUT_FILENO) < 0 ||
                    dup2(fds[1], STDERR_FILENO) < 0)
                        _exit(EXIT_FAILURE);
                (void)setenv("LC_ALL", "C.UTF-8", true);
                (void)execvp(command[0], (char *const *)(uintptr_t)command);
                _exit(127);
        }
        (void)close(fds[1]);
        if (pid < 0)
                return;

        text = read_all(reader, OUTPUT_SIZE_MAX);
        (void)close(reader);
        reader = -1;
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
                ;
        if (isempty(text))
                printf("(%s says nothing)\n", command[0]);
        else
                print_safe(text);
}

static void print_machine(void) {
        static const char *const modules[] = {
                "vfio",   "vfio_pci",         "mdev", "kvm",    "i915",    "kvmgt",
                "nvidia", "nvidia_vgpu_vfio", "xe",   "amdgpu", "mdevgpu", "mdevgpu_ref"
        };
        struct utsname name;

        if (uname(&name) == 0)
                printf("%s %s %s %s\n", name.sysname, name.release, name.version, name.machine);
        print_file("/etc/os-release");
        print_file("/proc/cmdline");

        for (size_t i = 0; i < ELEMENTSOF(modules); i++) {
                char path[128];

                (void)snprintf(path, sizeof(path), "/sys/module/%s", modules[i]);
                if (access(path, F_OK) < 0)
                        continue;
                printf("module %s", modules[i]);
                (void)snprintf(path, sizeof(path), "/sys/module/%s/version", modules[i]);
                if (access(path, R_OK) == 0) {
                        printf(" version ");
                        print_file(path);
                } else
                        putchar('\n');
        }
}

static int compare_names(const struct dirent **a, const struct dirent **b) {
        return strcmp((*a)->d_name, (*b)->d_name);
}

static void print_folder(const char *folder) {
        struct dirent **entries;
        int n;

        n = scandir(folder, &entries, NULL, compare_names);
        for (int i = 0; i < n; i++) {
                const char *dot = strrchr(entries[i]->d_name, '.');
                char path[512], target[512];
                ssize_t k;

                (void)snprintf(path, sizeof(path), "%.200s/%.255s", folder, entries[i]->d_name);
                k = dot && (streq(dot, ".yaml") || streq(dot, ".json")) ? readlink(path, target, sizeof(target) - 1)
                                                                        : -2;
                free(entries[i]);
                if (k == -2)
                        continue;

                printf("---- ");
                print_safe(path);
                if (k > 0) {
                        target[k] = 0;
                        printf(" -> ");
                        print_safe(target);
                }
                putchar('\n');
                if (k < 0 || !streq(target, "/dev/null"))
                        print_file(path);
        }
        if (n >= 0)
                free(entries);
}

static void print_local(void) {
        static const char *const show[] = { "systemctl", "--no-pager",       "--full", "--lines=0",
                                            "status",    "mdevgpud.service", NULL };
        static const char *const cat[] = { "systemctl", "--no-pager", "cat", "mdevgpud.service", NULL };

        section("Machine");
        print_machine();
        section("Unit");
        print_output(show);
        print_output(cat);
        section("Configuration");
        for (size_t i = 0; i < ELEMENTSOF(config_folders); i++)
                print_folder(config_folders[i]);
}

static void print_journal(void) {
        static const char *const journal[] = { "journalctl",  "--no-pager",
                                               "--quiet",     "--output=short-iso",
                                               "--lines=300", "--unit=mdevgpud.service",
                                               NULL };

        section("Journal");
        print_output(journal);
}

/* Each thing by the verb that shows it. */
static Status print_verb(Ctl *ctl, const char *title, Status (*verb)(Ctl *ctl, char **arguments)) {
        static char *none[] = { NULL };

        section(title);
        return verb(ctl, none);
}

static void print_gpus(Ctl *ctl) {
        _cleanup_(json_object_putp) json_object *gpus = NULL;

        if (bus_list(ctl, &bus_list_gpus, /* gpu= */ NULL, &gpus) != STATUS_DONE)
                return;

        for (size_t i = 0; i < json_object_array_length(gpus); i++) {
                json_object *address = NULL;
                char *names[] = { NULL, NULL };

                (void)json_object_object_get_ex(json_object_array_get_idx(gpus, i), "address", &address);
                names[0] = (char *)(uintptr_t)json_object_get_string(address);
                section(names[0] ? names[0] : "-");
                if (names[0])
                        (void)verb_status(ctl, names);
        }
}

/* Whom nobody can reach is not asked six times. */
static void print_daemon(Ctl *ctl) {
        static char word[] = "list", *list[] = { word, NULL };

        (void)print_verb(ctl, "Findings", verb_doctor);
        if (print_verb(ctl, "Status", verb_status) == STATUS_UNREACHABLE)
                return;

        print_gpus(ctl);
        (void)print_verb(ctl, "vGPUs", verb_list);
        section("Topologies");
        (void)verb_topology(ctl, list);
        (void)print_verb(ctl, "Jobs", verb_jobs);
        (void)print_verb(ctl, "Check of the configuration", verb_check);
        (void)print_verb(ctl, "Metrics", verb_metrics);
}

Status verb_dump(Ctl *ctl, char **arguments) {
        bool local = !ctl->host && !ctl->address;
        char text[64] = "";
        time_t now = time(NULL);
        struct tm tm;

        if (ctl->output != OUTPUT_TEXT)
                return ctl_error(STATUS_USAGE, "dump is text for a person; the verbs that it is made of have JSON.");

        /* What a part has to complain of stands in its place. */
        ctl->no_pager = true;
        ctl->color = false;
        (void)fflush(stdout);
        if (dup2(STDOUT_FILENO, STDERR_FILENO) < 0)
                return ctl_error(STATUS_FAILED, "Cannot write: %s.", strerror(errno));
        (void)setvbuf(stdout, NULL, _IOLBF, 0);

        if (localtime_r(&now, &tm))
                (void)strftime(text, sizeof(text), "%FT%T%z", &tm);
        printf("mdevgpud report of %s by mdevgpuctl %s\n", text, MDEVGPUCTL_VERSION);
        puts("It holds no keys and no data of guests. It does hold addresses and names of this machine's GPUs, UUIDs,\n"
             "labels and users of vGPUs, the configuration as it stands in files, and lines of the journal.");

        if (local)
                print_local();
        else
                puts("Of another machine or bus: its files and its journal are not in here.");
        print_daemon(ctl);
        if (local)
                print_journal();
        return STATUS_DONE;
}
