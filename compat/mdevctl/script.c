/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <time.h>

#include "host.h"
#include "script.h"

#define OUTPUT_MAX ((size_t)1 << 20) /* of each stream; what goes beyond is read, and forgotten */
#define TIME_MSEC INT64_C(30000)
#define GRACE_MSEC INT64_C(1000) /* from being asked to end to being killed, and from that to being left to itself */

/* A stream of the script's. */
typedef struct Stream {
        int fd;
        char *text;
        size_t size;
        bool over; /* more came than is kept */
} Stream;

typedef struct Process {
        pid_t pid;
        int pidfd;
        Stream out, err;
} Process;

/* Paths of those that took too long. */
static char **late;
static size_t n_late;

/* What ends us ends the script, which would not hear of it in its own group, before. */
static const int endings[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM };
static volatile sig_atomic_t ending; /* the one that has come */

/* As things were before, so that they are so again. */
typedef struct Signals {
        sigset_t mask;
        struct sigaction actions[ELEMENTSOF(endings)];
} Signals;

void outcome_done(Outcome *o) {
        free(o->output);
        *o = (Outcome){ .status = -1 };
}

static int64_t now(void) {
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC, &t);
        return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int64_t time_of_script(void) {
#ifdef TEST_ROOT
        const char *milliseconds = secure_getenv("MDEVCTL_CALLOUT_MSEC");

        if (milliseconds)
                return strtoll(milliseconds, NULL, 10);
#endif
        return TIME_MSEC;
}

static bool is_late(const char *path) {
        for (size_t i = 0; i < n_late; i++)
                if (strcmp(late[i], path) == 0)
                        return true;
        return false;
}

static void remember_late(const char *path) {
        char **more = reallocarray(late, n_late + 1, sizeof(*late));

        if (!more)
                return;
        late = more;
        late[n_late] = strdup(path);
        if (late[n_late])
                n_late++;
}

static void process_done(Process *p) {
        fd_closep(&p->pidfd);
        fd_closep(&p->out.fd);
        fd_closep(&p->err.fd);
        free(p->out.text);
        free(p->err.text);
}

static int stream_keep(Stream *s, const char *data, size_t size) {
        char *more;

        if (s->size + size > OUTPUT_MAX)
                s->over = true;
        if (s->over)
                return 0;

        more = realloc(s->text, s->size + size + 1);
        if (!more)
                return -ENOMEM;
        s->text = more;
        memcpy(s->text + s->size, data, size);
        s->size += size;
        s->text[s->size] = '\0';
        return 0;
}

/* What is there now: one piece, or all of it. */
static int stream_read(Stream *s, bool all) {
        char data[16384];
        int r = 0;

        do {
                ssize_t n;

                if (s->fd < 0)
                        return 0;
                n = read(s->fd, data, sizeof(data));
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno == EAGAIN)
                        return 0;
                if (n <= 0) {
                        fd_closep(&s->fd);
                        s->fd = -EBADF;
                        return 0;
                }
                r = stream_keep(s, data, (size_t)n);
        } while (all && r >= 0 && !s->over);

        return r;
}

static void on_ending(int number) {
        ending = number;
}

/* They come only while the script is waited for. Those that are ignored, as by nohup, stay so. */
static void signals_catch(Signals *ret_before) {
        struct sigaction catch = { .sa_handler = on_ending };
        sigset_t mask;

        (void)sigemptyset(&mask);
        for (size_t i = 0; i < ELEMENTSOF(endings); i++)
                (void)sigaddset(&mask, endings[i]);
        (void)sigprocmask(SIG_BLOCK, &mask, &ret_before->mask);
        for (size_t i = 0; i < ELEMENTSOF(endings); i++) {
                (void)sigaction(endings[i], NULL, &ret_before->actions[i]);
                if (ret_before->actions[i].sa_handler != SIG_IGN)
                        (void)sigaction(endings[i], &catch, NULL);
        }
}

/* One that has come does now what it would have done. */
static void signals_restore(const Signals *before) {
        for (size_t i = 0; i < ELEMENTSOF(endings); i++)
                (void)sigaction(endings[i], &before->actions[i], NULL);
        if (ending != 0)
                (void)raise(ending);
        (void)sigprocmask(SIG_SETMASK, &before->mask, NULL);
}

/* Its end; -ETIMEDOUT if that does not come, -ECANCELED if one of ours does. What its children go on to say nobody waits for. */
static int process_wait(Process *p, int64_t deadline, const sigset_t *mask) {
        for (;;) {
                struct pollfd fds[] = {
                        { .fd = p->pidfd, .events = POLLIN },
                        { .fd = p->out.fd, .events = POLLIN },
                        { .fd = p->err.fd, .events = POLLIN },
                };
                int64_t left = deadline - now();
                struct timespec timeout = { .tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000 };
                int r;

                if (left <= 0)
                        return -ETIMEDOUT;
                r = ppoll(fds, ELEMENTSOF(fds), &timeout, mask);
                if (r < 0 && errno != EINTR)
                        return -errno;
                if (r < 0 && ending != 0 && mask)
                        return -ECANCELED;
                if (r <= 0)
                        continue;
                r = stream_read(&p->out, fds[0].revents != 0);
                if (r >= 0)
                        r = stream_read(&p->err, fds[0].revents != 0);
                if (r < 0 || fds[0].revents != 0)
                        return r;
        }
}

static int process_reap(const Process *p) {
        int status;

        while (waitpid(p->pid, &status, 0) < 0)
                if (errno != EINTR)
                        return -errno;
        return WIFEXITED(status) ? WEXITSTATUS(status) : -EINTR;
}

/* One that cannot be killed is left behind: it waits in the kernel for who knows what. */
static void process_end(Process *p) {
        (void)kill(-p->pid, ending != 0 ? ending : SIGTERM);
        (void)kill(-p->pid, SIGCONT);
        if (process_wait(p, now() + GRACE_MSEC, NULL) < 0) {
                (void)kill(-p->pid, SIGKILL);
                if (process_wait(p, now() + GRACE_MSEC, NULL) < 0)
                        return;
        } else
                (void)kill(-p->pid, SIGKILL); /* its children */
        (void)process_reap(p);
}

/* A group of its own, so that its children end with it. */
static int spawn(const char *path, char *const argv[], const int fds[static 3], const sigset_t *mask, pid_t *ret_pid) {
        posix_spawn_file_actions_t actions;
        posix_spawnattr_t attributes;
        int r;

        if (posix_spawn_file_actions_init(&actions) != 0)
                return -ENOMEM;
        if (posix_spawnattr_init(&attributes) != 0) {
                posix_spawn_file_actions_destroy(&actions);
                return -ENOMEM;
        }

        r = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
        if (r == 0)
                r = posix_spawnattr_setsigmask(&attributes, mask);
        for (int i = 0; i < 3 && r == 0; i++)
                r = posix_spawn_file_actions_adddup2(&actions, fds[i], i);
        if (r == 0)
                r = posix_spawn(ret_pid, path, &actions, &attributes, argv, environ);
        posix_spawnattr_destroy(&attributes);
        posix_spawn_file_actions_destroy(&actions);
        return -r;
}

/* Its input is a file that nobody sees: one that reads nothing holds nobody up. */
static int make_input(const char *input) {
        int fd = memfd_create("stdin", MFD_CLOEXEC);

        if (fd < 0)
                return -errno;
        if (input && (file_write_all(fd, input, strlen(input)) < 0 || lseek(fd, 0, SEEK_SET) < 0)) {
                (void)close(fd);
                return -EIO;
        }
        return fd;
}

/* Only ours does not block. */
static int make_pipe(Stream *s, int *ret_theirs) {
        int fds[2];

        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        s->fd = fds[0];
        *ret_theirs = fds[1];
        return fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

static int process_start(Process *p, char *const argv[], const char *input, const sigset_t *mask) {
        _cleanup_(fd_closep) int in = -EBADF, out = -EBADF, err = -EBADF;
        int r;

        in = make_input(input);
        r = in < 0 ? in : make_pipe(&p->out, &out);
        if (r >= 0)
                r = make_pipe(&p->err, &err);
        if (r >= 0)
                r = spawn(argv[0], argv, (int[]){ in, out, err }, mask, &p->pid);
        if (r < 0)
                return r;

        p->pidfd = pidfd_open(p->pid, 0);
        if (p->pidfd >= 0)
                return 0;
        r = -errno;
        (void)kill(-p->pid, SIGKILL);
        (void)process_reap(p);
        return r;
}

static int finish(Process *p, const char *path, int r) {
        if (r >= 0)
                return process_reap(p);

        process_end(p);
        if (r != -ETIMEDOUT)
                return r;
        warn("%s has not ended within %lld s, and was ended", path, (long long)time_of_script() / 1000);
        remember_late(path);
        return r;
}

/* To its end, or ours. */
static int run(Process *p, char *const argv[], const char *input, int *ret_status) {
        Signals before;
        int r;

        signals_catch(&before);
        r = process_start(p, argv, input, &before.mask);
        if (r >= 0)
                *ret_status = finish(p, argv[0], process_wait(p, now() + time_of_script(), &before.mask));
        signals_restore(&before);
        return r;
}

int script_run(char *const argv[], const char *input, Outcome *ret_outcome) {
        _cleanup_(process_done) Process p = {
                .pidfd = -EBADF,
                .out = { .fd = -EBADF },
                .err = { .fd = -EBADF },
        };
        const char *slash = strrchr(argv[0], '/');
        int r;

        outcome_done(ret_outcome);
        if (is_late(argv[0])) {
                ret_outcome->status = -ETIMEDOUT;
                return 0;
        }

        r = run(&p, argv, input, &ret_outcome->status);
        if (r < 0)
                return r;

        if (p.err.size > 0 && ret_outcome->status != 2)
                fprintf(stderr, "%s: %s", slash ? slash + 1 : argv[0], p.err.text);
        ret_outcome->too_much = p.out.over;
        if (!p.out.over) {
                ret_outcome->size = p.out.size;
                ret_outcome->output = TAKE(p.out.text);
        }
        return 0;
}
