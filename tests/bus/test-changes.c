/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The bus takes nothing for a while, as a bus does whose other client never reads. Changes wait, at most one for each
 * object, instead of piling up as signals until memory goes, and are told when it goes on.
 *
 * The bus layer over a model without hardware, in a process of its own, as it has to be made to talk too much.
 */

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bus/bus.h"
#include "client.h"
#include "core/gpu.h"

#define N_GPUS 64U
#define N_ROUNDS 200U
/* Far above what the server lets wait, far below what N_ROUNDS of changes make. */
#define STUFFED 400U
#define QUEUED_MAX 1000U
#define CHURN_MAX 50000U
#define GAVE_UP 42

typedef struct Talker {
        sd_event *event;
        sd_bus *bus;
        BusServer *server;
        Manager *manager;
        unsigned n_rounds;
        int result_fd;
} Talker;

static int submit(Platform *platform, const char *gpu, const Job *job, const JobListener *listener,
                  PlatformJob **ret_job) {
        return -EBUSY;
}

static void release_gpu(Platform *platform, const char *gpu) {}

static const PlatformOps platform_ops = { .submit = submit, .release_gpu = release_gpu };

static const ConfigReport *config_report(void *userdata) {
        static const ConfigReport empty;

        return &empty;
}

static const BusCallbacks callbacks = { .config_report = config_report };

/* Fills the socket, which holds megabytes, and then the queue before it. */
static void stuff(sd_bus *bus) {
        g_autofree char *text = g_strnfill(64 * 1024, 'x');
        uint64_t n = 0;

        while (n < STUFFED) {
                g_assert_cmpint(sd_bus_emit_signal(bus, BUS_PATH, "org.example.Stuffing", "Stuffed", "s", text), >=, 0);
                g_assert_cmpint(sd_bus_get_n_queued_write(bus, &n), >=, 0);
        }
}

static int on_round(sd_event_source *source, uint64_t usec, void *userdata) {
        Talker *talker = userdata;
        uint64_t n;
        Gpu *gpu;

        LIST_FOREACH(gpu, &talker->manager->gpus, link) {
                gpu->pending_types = !gpu->pending_types;
                gpu->framebuffer_total = talker->n_rounds;
                OBSERVE(talker->manager, gpu_changed, gpu, GPU_CHANGED_PENDING | GPU_CHANGED_IDENTITY);
        }

        if (++talker->n_rounds < N_ROUNDS) {
                g_assert_cmpint(sd_event_source_set_time_relative(source, 1000), >=, 0);
                return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
        }

        g_assert_cmpint(sd_bus_get_n_queued_write(talker->bus, &n), >=, 0);
        g_assert_cmpint(write(talker->result_fd, &n, sizeof(n)), ==, sizeof(n));
        return 0;
}

static int on_start(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        Talker *talker = userdata;

        stuff(talker->bus);
        return sd_event_add_time_relative(talker->event, NULL, CLOCK_MONOTONIC, 0, /* accuracy= */ 1, on_round, talker);
}

/* Objects come and go, as long as it is bearable. */
static int on_churn(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        Talker *talker = userdata;
        Gpu *gpu = LIST_FIRST(&talker->manager->gpus, Gpu, link);
        int code;

        for (unsigned i = 0; i < CHURN_MAX; i++) {
                gpu_unlink(gpu);
                gpu_link(gpu);
                if (sd_event_get_exit_code(talker->event, &code) >= 0)
                        break;
        }

        return 0;
}

static void make_model(Talker *talker) {
        static Platform platform = { .ops = &platform_ops };
        const ManagerParameters parameters = {
                .event = talker->event,
                .platform = &platform,
                .state_fd = -EBADF,
                .observer = bus_server_observer(talker->server),
        };

        g_assert_cmpint(manager_new(&parameters, &talker->manager), >=, 0);
        bus_server_attach(talker->server, talker->manager);
        g_assert_cmpint(bus_server_start(talker->server), >=, 0);
        for (unsigned i = 0; i < N_GPUS; i++) {
                GpuIdentity identity = {};
                Gpu *gpu;

                (void)snprintf(identity.address, sizeof(identity.address), "gpu%u", i);
                g_assert_cmpint(gpu_new(talker->manager, &identity, &gpu), >=, 0);
                gpu_link(gpu);
        }
}

static int talk(Harness *h, int result_fd) {
        Talker talker = { .bus = harness_connect(h, 0), .result_fd = result_fd };
        BusParameters parameters = { .bus = talker.bus, .callbacks = &callbacks, .version = "test" };
        sigset_t mask;

        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)sigemptyset(&mask);
        (void)sigaddset(&mask, SIGUSR1);
        (void)sigaddset(&mask, SIGUSR2);
        (void)sigprocmask(SIG_BLOCK, &mask, NULL);

        g_assert_cmpint(sd_event_new(&talker.event), >=, 0);
        g_assert_cmpint(sd_event_add_signal(talker.event, NULL, SIGUSR1, on_start, &talker), >=, 0);
        g_assert_cmpint(sd_event_add_signal(talker.event, NULL, SIGUSR2, on_churn, &talker), >=, 0);
        parameters.event = talker.event;
        g_assert_cmpint(bus_server_new(&parameters, &talker.server), >=, 0);
        make_model(&talker);
        bus_server_set_ready(talker.server);
        return sd_event_loop(talker.event);
}

/* In a child process; its end of the pipe is result_fd. */
static pid_t start_talking(Harness *h, int *ret_result_fd) {
        int fds[2];
        pid_t pid;

        g_assert_cmpint(pipe(fds), ==, 0);
        pid = fork();
        g_assert_cmpint(pid, >=, 0);
        if (pid == 0)
                _exit(talk(h, fds[1]) == -ENOBUFS ? GAVE_UP : EXIT_SUCCESS);

        (void)close(fds[1]);
        harness_wait_for_name(h, pid, BUS_NAME);
        *ret_result_fd = fds[0];
        return pid;
}

/* Of the last object, the last value. */
static bool is_told(void *userdata) {
        g_autofree char *key = g_strdup_printf(BUS_PATH "/gpu/gpu%u " GPU_INTERFACE " FramebufferTotal", N_GPUS - 1);
        g_autofree char *last = g_strdup_printf("%u ", N_ROUNDS - 1);
        const Cache *cache = userdata;

        return g_strcmp0(g_hash_table_lookup(cache->values, key), last) == 0;
}

static void test_bus_that_takes_nothing(void) {
        g_autoptr(Harness) h = harness_new();
        g_autoptr(Cache) cache = NULL;
        uint64_t n_queued;
        pid_t pid;
        int fd;

        pid = start_talking(h, &fd);
        cache = cache_new(h);
        g_assert_cmpint(kill(h->dbus, SIGSTOP), ==, 0);
        g_assert_cmpint(kill(pid, SIGUSR1), ==, 0);
        g_assert_cmpint(read(fd, &n_queued, sizeof(n_queued)), ==, sizeof(n_queued));
        g_test_message("%u changes of %u objects: %" PRIu64 " messages wait", N_ROUNDS, N_GPUS, n_queued);
        g_assert_cmpuint(n_queued, <, QUEUED_MAX);

        g_assert_cmpint(kill(h->dbus, SIGCONT), ==, 0);
        harness_wait(cache->bus, is_told, cache);
        cache_check(h, cache);

        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
        (void)close(fd);
}

static void test_bus_that_never_comes_back(void) {
        g_autoptr(Harness) h = harness_new();
        int status, fd;
        pid_t pid;

        pid = start_talking(h, &fd);
        g_assert_cmpint(kill(h->dbus, SIGSTOP), ==, 0);
        g_assert_cmpint(kill(pid, SIGUSR2), ==, 0);
        g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
        g_assert_true(WIFEXITED(status));
        g_assert_cmpint(WEXITSTATUS(status), ==, GAVE_UP);
        g_assert_cmpint(kill(h->dbus, SIGCONT), ==, 0);
        (void)close(fd);
}

int main(int argc, char **argv) {
        harness_init(&argc, &argv);

        g_test_add_func("/changes/bus-that-takes-nothing", test_bus_that_takes_nothing);
        g_test_add_func("/changes/bus-that-never-comes-back", test_bus_that_never_comes_back);

        return g_test_run();
}
