/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "domain.h"

#define END "</hostdev>\n"

/* virsh takes one element at a time. */
static const char *element_end(const char *element) {
        const char *end = strstr(element, END);

        return end ? end + strlen(END) : NULL;
}

static int element_open(const char *element, size_t size) {
        int fd = memfd_create("hostdev", MFD_CLOEXEC);

        if (fd < 0)
                return -errno;
        if (write(fd, element, size) != (ssize_t)size || lseek(fd, 0, SEEK_SET) < 0) {
                (void)close(fd);
                return -EIO;
        }

        return fd;
}

/* Its exit status; what it has to say goes to stderr, as ours does. */
static int virsh_run(char *const argv[], int input) {
        posix_spawn_file_actions_t actions;
        int r, status;
        pid_t pid;

        r = posix_spawn_file_actions_init(&actions);
        if (r != 0)
                return -r;
        r = posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
        if (r == 0)
                r = posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
        if (r == 0)
                r = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
        (void)posix_spawn_file_actions_destroy(&actions);
        if (r != 0)
                return -r;

        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return -errno;

        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int element_change(const char *domain, uint64_t where, const char *verb, const char *element, size_t size) {
        _cleanup_(freep) char *name = NULL;
        char *argv[9];
        size_t n = 0;
        int fd, r;

        /* In one word, so that no name is taken for an option. */
        if (asprintf(&name, "--domain=%s", domain) < 0) {
                name = NULL;
                return -ENOMEM;
        }

        argv[n++] = (char *)"virsh";
        argv[n++] = (char *)"--quiet";
        argv[n++] = (char *)verb;
        argv[n++] = name;
        argv[n++] = (char *)"--file=/dev/stdin";
        if (where & OPTION_LIVE)
                argv[n++] = (char *)"--live";
        if (where & OPTION_CONFIG)
                argv[n++] = (char *)"--config";
        argv[n] = NULL;

        fd = element_open(element, size);
        if (fd < 0)
                return fd;
        r = virsh_run(argv, fd);
        (void)close(fd);
        return r;
}

Status domain_attach(const char *domain, uint64_t where, const char *xml) {
        const char *element = xml, *end;
        int r;

        for (; (end = element_end(element)); element = end) {
                r = element_change(domain, where, "attach-device", element, (size_t)(end - element));
                if (r == 0)
                        continue;

                for (const char *done = xml; done < element; done = element_end(done))
                        (void)element_change(domain, where, "detach-device", done, (size_t)(element_end(done) - done));
                if (r == -ENOENT)
                        return ctl_error(STATUS_FAILED, "virsh is not installed; without --domain its XML is printed.");
                if (r < 0)
                        return ctl_error(STATUS_FAILED, "Cannot run virsh: %s.", strerror(-r));
                return ctl_error(STATUS_FAILED, "libvirt has not attached it to the domain %s.", domain);
        }

        return STATUS_DONE;
}
