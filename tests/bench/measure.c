/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Measurements. The daemon and the floor take turns, so that whatever else the machine does falls on both.
 */

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <uuid.h>

#include "bench.h"

static int by_value(const void *a, const void *b) {
        const double *x = a, *y = b;

        return (*x > *y) - (*x < *y);
}

void bench_say(const char *what, double *values, size_t n) {
        qsort(values, n, sizeof(double), by_value);
        printf("%s.min %.3f\n%s.median %.3f\n", what, values[0], what, values[n / 2]);
}

size_t bench_read_rounds(const char *s) {
        int n = atoi(s);

        if (n < 1 || n > BENCH_ROUNDS_MAX)
                bench_die("'%s' is no number of rounds", s);

        return (size_t)n;
}

static sd_bus_message *ask(sd_bus *bus, const char *name, const char *what) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *reply;
        int r;

        if (streq(what, "list"))
                r = sd_bus_call_method(bus, name, ROOT_PATH, MANAGER, "ListVGpus", &error, &reply, "a{sv}", 0);
        else if (streq(what, "objects"))
                r = sd_bus_call_method(bus, name, ROOT_PATH, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects",
                                       &error, &reply, "");
        else if (streq(what, "echo"))
                r = sd_bus_call_method(bus, name, ROOT_PATH, "org.freedesktop.DBus.Peer", "Ping", &error, &reply, "");
        else
                bench_die("'%s' is no call", what);
        if (r < 0)
                bench_die("%s of %s: %s", what, name, error.message ?: strerror(-r));

        return reply;
}

/* A measure of what is in an answer, however its objects are ordered. */
static size_t answer_size(sd_bus *bus, const char *name, const char *what) {
        sd_bus_message *reply = ask(bus, name, what);
        _cleanup_(freep) char *text = NULL;
        size_t size;
        FILE *f;

        f = open_memstream(&text, &size);
        bench_try(sd_bus_message_dump(reply, f, SD_BUS_MESSAGE_DUMP_SUBTREE_ONLY), "an answer");
        (void)fclose(f);
        sd_bus_message_unref(reply);
        return size;
}

typedef struct Side {
        const char *name;
        const char *label;
        pid_t pid;
        double wall[BENCH_ROUNDS_MAX];
        double cpu[BENCH_ROUNDS_MAX];   /* of the service */
        double total[BENCH_ROUNDS_MAX]; /* of service, bus and client */
} Side;

static void measure_side(Side *side, sd_bus *bus, pid_t bus_pid, const char *what, size_t n_calls, size_t round) {
        double cpu = bench_cpu(side->pid), total = cpu + bench_cpu(bus_pid) + bench_cpu(getpid()), wall = bench_now();

        for (size_t i = 0; i < n_calls; i++)
                sd_bus_message_unref(ask(bus, side->name, what));

        wall = bench_now() - wall;
        cpu = bench_cpu(side->pid) - cpu;
        total = bench_cpu(side->pid) + bench_cpu(bus_pid) + bench_cpu(getpid()) - total;
        side->wall[round] = wall / (double)n_calls;
        side->cpu[round] = cpu / (double)n_calls;
        side->total[round] = total / (double)n_calls;
}

int bench_compare(int argc, char **argv) {
        static Side sides[2];
        sd_bus *bus = bench_open(argv[0]);
        const char *what = argv[1];
        size_t n = bench_read_rounds(argv[2]), n_calls = bench_read_rounds(argv[3]);
        pid_t bus_pid = atoi(argv[4]);

        sides[0] = (Side){ .name = FLOOR_NAME, .label = "floor", .pid = atoi(argv[5]) };
        sides[1] = (Side){ .name = DAEMON_NAME, .label = "daemon", .pid = atoi(argv[6]) };
        if (answer_size(bus, FLOOR_NAME, what) != answer_size(bus, DAEMON_NAME, what))
                bench_die("%s: the floor does not answer what the daemon answers", what);

        for (size_t round = 0; round < n; round++)
                for (size_t i = 0; i < ELEMENTSOF(sides); i++)
                        measure_side(&sides[i], bus, bus_pid, what, n_calls, round);

        for (size_t i = 0; i < ELEMENTSOF(sides); i++) {
                char name[64];

                (void)snprintf(name, sizeof(name), "%s.wall", sides[i].label);
                bench_say(name, sides[i].wall, n);
                (void)snprintf(name, sizeof(name), "%s.cpu", sides[i].label);
                bench_say(name, sides[i].cpu, n);
                (void)snprintf(name, sizeof(name), "%s.total", sides[i].label);
                bench_say(name, sides[i].total, n);
        }
        return EXIT_SUCCESS;
}

/* Until the daemon shows so many vGPUs. */
int bench_await(int argc, char **argv) {
        sd_bus *bus = bench_open(argv[0]);
        size_t n = (size_t)atoi(argv[1]), n_found;
        double t = bench_now();

        do {
                sd_bus_message *reply = ask(bus, DAEMON_NAME, "list");

                n_found = 0;
                bench_try(sd_bus_message_enter_container(reply, 'a', "(sssssoa{sv})"), "the rows");
                for (; bench_try(sd_bus_message_at_end(reply, false), "the rows") == 0; n_found++)
                        bench_try(sd_bus_message_skip(reply, "(sssssoa{sv})"), "a row");
                sd_bus_message_unref(reply);
        } while (n_found != n);

        printf("await %.3f\n", bench_now() - t);
        return EXIT_SUCCESS;
}

static double echo(sd_bus *bus) {
        sd_bus_message *reply;
        double t = bench_now();

        bench_try(sd_bus_call_method(bus, FLOOR_NAME, ROOT_PATH, MANAGER, "Echo", NULL, &reply, "s", "hello"), "Echo");
        sd_bus_message_unref(reply);
        return bench_now() - t;
}

static double call_create(sd_bus *bus, const char *gpu, const char *type, bool durable, const char *uuid) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        double t = bench_now();
        int r;

        if (durable)
                r = sd_bus_call_method(bus, DAEMON_NAME, ROOT_PATH, MANAGER, "CreateVGpu", &error, NULL, "sssa{sv}",
                                       gpu, type, uuid, 1, "persistent", "b", 1);
        else
                r = sd_bus_call_method(bus, DAEMON_NAME, ROOT_PATH, MANAGER, "CreateVGpu", &error, NULL, "sssa{sv}",
                                       gpu, type, uuid, 0);
        if (r < 0)
                bench_die("CreateVGpu: %s", error.message ?: strerror(-r));

        return bench_now() - t;
}

static double call_with_uuid(sd_bus *bus, const char *method, const char *uuid) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        double t = bench_now();
        int r;

        r = sd_bus_call_method(bus, DAEMON_NAME, ROOT_PATH, MANAGER, method, &error, NULL, "sa{sv}", uuid, 0);
        if (r < 0)
                bench_die("%s: %s", method, error.message ?: strerror(-r));

        return bench_now() - t;
}

/* For so many seconds, a call of the service in each millisecond or so: how long the slow ones of them take. */
int bench_ping(int argc, char **argv) {
        static double took[BENCH_ROUNDS_MAX];
        sd_bus *bus = bench_open(argv[0]);
        double until = bench_now() + atof(argv[1]) * 1e6;
        size_t n = 0;

        (void)argc;
        while (n < BENCH_ROUNDS_MAX && (n == 0 || bench_now() < until)) {
                double t = bench_now();

                sd_bus_message_unref(ask(bus, DAEMON_NAME, "echo"));
                took[n++] = bench_now() - t;
                (void)usleep(1000);
        }

        bench_say("ping", took, n);
        printf("ping.p99 %.3f\nping.max %.3f\nping.n %zu\n", took[n * 99 / 100], took[n - 1], n);
        return EXIT_SUCCESS;
}

/* As many at a time as every type has room for, so that a removal, which looks at every process, is far from what is
 * measured; the first of them finds everything cold. */
#define BATCH 16U

int bench_create(int argc, char **argv) {
        static double created[BENCH_ROUNDS_MAX], destroyed[BENCH_ROUNDS_MAX], echoed[BENCH_ROUNDS_MAX];
        sd_bus *bus = bench_open(argv[0]);
        size_t n = bench_read_rounds(argv[3]);
        bool durable = streq(argv[4], "durable");
        useconds_t pause = (useconds_t)atoi(argv[5]);
        char uuids[BATCH][37];

        for (size_t i = 0; i < n; i++) {
                uuid_t u;

                uuid_generate(u);
                uuid_unparse_lower(u, uuids[i % BATCH]);
                /* Not while others are at work on the events of the last one. */
                (void)usleep(pause);
                for (size_t k = 0; k < 4; k++)
                        echoed[i] = echo(bus);
                created[i] = call_create(bus, argv[1], argv[2], durable, uuids[i % BATCH]);
                if ((i + 1) % BATCH != 0 && i + 1 < n)
                        continue;

                for (size_t k = i - i % BATCH; k <= i; k++) {
                        destroyed[k] = call_with_uuid(bus, "DestroyVGpu", uuids[k % BATCH]);
                        if (durable)
                                (void)call_with_uuid(bus, "UndefineVGpu", uuids[k % BATCH]);
                }
                (void)usleep(pause * BATCH);
        }

        bench_say("echo", echoed, n);
        bench_say("create", created, n);
        bench_say("destroy", destroyed, n);
        return EXIT_SUCCESS;
}

static void write_text(const char *path, const char *text) {
        _cleanup_(fd_closep) int fd = open(path, O_WRONLY | O_CLOEXEC);

        if (fd < 0 || write(fd, text, strlen(text)) < 0)
                bench_die("%s: %s", path, strerror(errno));
}

/* What the driver itself takes, with nobody between. */
int bench_driver(int argc, char **argv) {
        static double created[BENCH_ROUNDS_MAX], removed[BENCH_ROUNDS_MAX];
        size_t n = bench_read_rounds(argv[2]);
        useconds_t pause = (useconds_t)atoi(argv[3]);

        for (size_t i = 0; i < n; i++) {
                char uuid[37], path[4096];
                uuid_t u;

                uuid_generate(u);
                uuid_unparse_lower(u, uuid);
                (void)snprintf(path, sizeof(path), "%s/create", argv[0]);
                created[i] = bench_now();
                write_text(path, uuid);
                created[i] = bench_now() - created[i];

                (void)snprintf(path, sizeof(path), "%s/%s/remove", argv[1], uuid);
                removed[i] = bench_now();
                write_text(path, "1");
                removed[i] = bench_now() - removed[i];
                (void)usleep(pause);
        }

        bench_say("create", created, n);
        bench_say("remove", removed, n);
        return EXIT_SUCCESS;
}

/* What making one file durable takes at best: written, flushed, renamed, and its folder flushed. */
int bench_durable(int argc, char **argv) {
        _cleanup_(fd_closep) int dir_fd = open(argv[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        static double took[BENCH_ROUNDS_MAX];
        size_t n = bench_read_rounds(argv[1]);
        char text[256];

        memset(text, 'x', sizeof(text));
        for (size_t i = 0; i < n; i++) {
                int fd;

                took[i] = bench_now();
                fd = openat(dir_fd, ".bench-new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
                if (fd < 0 || write(fd, text, sizeof(text)) != (ssize_t)sizeof(text) || fsync(fd) < 0 || close(fd) < 0 ||
                    renameat(dir_fd, ".bench-new", dir_fd, ".bench") < 0 || fsync(dir_fd) < 0)
                        bench_die("%s: %s", argv[0], strerror(errno));
                took[i] = bench_now() - took[i];
                (void)unlinkat(dir_fd, ".bench", 0);
                (void)usleep(5000);
        }

        bench_say("durable", took, n);
        return EXIT_SUCCESS;
}

static double spawn(char **command) {
        extern char **environ;
        posix_spawn_file_actions_t actions;
        double t = bench_now();
        pid_t pid;
        int status;

        (void)posix_spawn_file_actions_init(&actions);
        (void)posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
        if (posix_spawnp(&pid, command[0], &actions, NULL, command, environ) != 0 || waitpid(pid, &status, 0) < 0 ||
            status != 0)
                bench_die("%s %s fails", command[0], command[1] ?: "");
        (void)posix_spawn_file_actions_destroy(&actions);
        return bench_now() - t;
}

/* A command, and where there is a "--" in it the one after that undoes it, unmeasured. */
int bench_run(int argc, char **argv) {
        static double took[BENCH_ROUNDS_MAX];
        size_t n = bench_read_rounds(argv[0]);

        for (size_t i = 0; i < n; i++) {
                char *command[64] = {}, **undo = NULL, uuid[37];
                uuid_t u;

                uuid_generate(u);
                uuid_unparse_lower(u, uuid);
                for (int k = 1; k < argc && k < (int)ELEMENTSOF(command); k++) {
                        command[k - 1] = streq(argv[k], "UUID") ? uuid : argv[k];
                        if (streq(argv[k], "--")) {
                                command[k - 1] = NULL;
                                undo = command + k;
                        }
                }
                took[i] = spawn(command);
                if (undo) {
                        (void)spawn(undo);
                        (void)usleep(20000);
                }
        }

        bench_say("run", took, n);
        return EXIT_SUCCESS;
}
