/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The supervisor with real processes, which do their work well, badly, late or not at all.
 */

#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "core/backend.h"
#include "util/file.h"
#include "util/text.h"
#include "worker/supervisor.h"

#include <glib.h>

#define UUID "11111111-2fa1-4d2e-883f-0016d3cca427"
#define LONG_USEC UINT64_C(60000000)
#define SHORT_USEC UINT64_C(300000)

typedef struct Rig {
        char *dir;
        int dir_fd;
        sd_event *event;
        Supervisor *supervisor;
        Platform *platform;
        const char *command[3];
} Rig;

/* Whoever waits for a job. */
typedef struct Ear {
        Rig *rig;
        PlatformJob *job;
        unsigned n_done, n_timeouts;
        int code;
        pid_t stuck, pid;
        char message[512], files[REASON_SIZE], signals[64];
        bool release; /* lets the GPU go as soon as it hears */
        const char *gpu;
} Ear;

static void on_timeout(pid_t pid, void *userdata) {
        Ear *ear = userdata;

        ear->n_timeouts++;
        ear->stuck = pid;
        g_assert_cmpuint(ear->n_done, ==, 0);
}

static void on_done(JobResult *result, void *userdata) {
        Ear *ear = userdata;

        ear->n_done++;
        ear->job = NULL;
        ear->code = result->error.code;
        (void)text_copy(ear->message, sizeof(ear->message), result->error.message);
        ear->pid = atoi(result->report.model) ?: atoi(result->vgpu.parent);
        (void)text_copy(ear->files, sizeof(ear->files), result->report.reason);
        (void)text_copy(ear->signals, sizeof(ear->signals), result->report.driver);
        if (ear->release)
                ear->rig->platform->ops->release_gpu(ear->rig->platform, ear->gpu);
}

static void rig_start(Rig *rig, uint64_t sync_usec, uint64_t operation_usec) {
        const SupervisorParameters parameters = {
                .event = rig->event,
                .command = rig->command,
                .sync_timeout_usec = sync_usec,
                .operation_timeout_usec = operation_usec,
        };

        g_assert_cmpint(supervisor_new(&parameters, &rig->supervisor), ==, 0);
        rig->platform = supervisor_get_platform(rig->supervisor);
}

static Rig *rig_new(uint64_t sync_usec, uint64_t operation_usec) {
        Rig *rig = g_new0(Rig, 1);

        rig->dir = g_dir_make_tmp("mdevgpu-XXXXXX", NULL);
        g_assert_nonnull(rig->dir);
        rig->dir_fd = directory_open(AT_FDCWD, rig->dir);
        g_assert_cmpint(mkdirat(rig->dir_fd, "pids", 0700), ==, 0);
        rig->command[0] = g_getenv("BAD_WORKER");
        rig->command[1] = rig->dir;
        g_assert_nonnull(rig->command[0]);
        g_assert_cmpint(sd_event_new(&rig->event), >=, 0);
        rig_start(rig, sync_usec, operation_usec);
        return rig;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw) {
        return remove(path);
}

/* Reaps what the supervisor has left to do its last work. */
static void rig_free(Rig *rig) {
        supervisor_free(rig->supervisor);
        sd_event_unref(rig->event);
        while (waitpid(-1, NULL, 0) > 0)
                ;
        g_assert_cmpint(errno, ==, ECHILD);
        fd_close(rig->dir_fd);
        g_assert_cmpint(nftw(rig->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS), ==, 0);
        g_free(rig->dir);
        g_free(rig);
}

#define WAIT_FOR(rig, condition)                                                                                       \
        do {                                                                                                           \
                gint64 end_ = g_get_monotonic_time() + 30 * G_USEC_PER_SEC;                                            \
                while (!(condition)) {                                                                                 \
                        if (g_get_monotonic_time() > end_)                                                             \
                                g_error("%s:%i: waited in vain for: %s", __FILE__, __LINE__, #condition);              \
                        g_assert_cmpint(sd_event_run((rig)->event, 10000), >=, 0);                                     \
                }                                                                                                      \
        } while (0)

static int submit(Rig *rig, const char *gpu, JobKind kind, Ear *ear) {
        const JobListener listener = { .timeout = on_timeout, .done = on_done, .userdata = ear };
        const Job job = { .kind = kind, .uuid = UUID, .type_id = "type" };
        unsigned n = ear->n_done;
        int r;

        ear->rig = rig;
        ear->gpu = gpu;
        r = rig->platform->ops->submit(rig->platform, gpu, &job, &listener, &ear->job);
        g_assert_cmpuint(ear->n_done, ==, n);
        return r;
}

static void go(Rig *rig) {
        g_assert_cmpint(file_replace(rig->dir_fd, "go", ""), ==, 0);
}

static unsigned count(Rig *rig, const char *folder) {
        _cleanup_(dir_closep) DIR *dir = NULL;
        unsigned n = 0;

        g_assert_cmpint(directory_list(rig->dir_fd, folder, &dir), ==, 0);
        while (directory_next(dir))
                n++;
        return n;
}

static bool no_children(void) {
        siginfo_t info;

        return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 && errno == ECHILD;
}

/* One process for a GPU, another for another, and one for each removal. */
static void test_good(void) {
        Rig *rig = rig_new(LONG_USEC, LONG_USEC);
        Ear a = {}, b = {}, c = {}, d = {}, e = {};

        g_assert_cmpint(submit(rig, "good-1", JOB_SYNC, &a), ==, 0);
        g_assert_cmpint(submit(rig, "good-1", JOB_CREATE, &b), ==, 0);
        g_assert_cmpint(submit(rig, "good-2", JOB_CREATE, &c), ==, 0);
        g_assert_cmpint(submit(rig, "good-1", JOB_REMOVE, &d), ==, 0);
        g_assert_cmpint(submit(rig, "good-1", JOB_REMOVE, &e), ==, 0);
        WAIT_FOR(rig, a.n_done && b.n_done && c.n_done && d.n_done && e.n_done);
        g_assert_true(a.code == 0 && b.code == 0 && c.code == 0 && d.code == 0 && e.code == 0);
        g_assert_cmpint(a.pid, ==, b.pid);
        g_assert_cmpint(a.pid, !=, c.pid);
        g_assert_cmpuint(count(rig, "pids"), ==, 4);
        rig_free(rig);
}

/* Only standard input (the socket), output and error; no signal blocked or ignored. */
static void test_inherits_nothing(void) {
        Rig *rig = rig_new(LONG_USEC, LONG_USEC);
        uint64_t blocked, ignored;
        int fd, other, pair[2];
        Ear ear = {};

        fd = open("/dev/null", O_RDWR);
        other = fcntl(fd, F_DUPFD, 200);
        g_assert_true(fd > 2 && other >= 200);
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), ==, 0);
        (void)signal(SIGPIPE, SIG_IGN);

        g_assert_cmpint(submit(rig, "good", JOB_SYNC, &ear), ==, 0);
        WAIT_FOR(rig, ear.n_done);
        g_assert_cmpstr(ear.files, ==, "0 1 2 ");
        g_assert_cmpint(sscanf(ear.signals, "%" SCNx64 " %" SCNx64, &blocked, &ignored), ==, 2);
        g_assert_cmpuint(blocked, ==, 0);
        g_assert_cmpuint(ignored & ~(UINT64_C(3) << 31), ==, 0); /* 32 and 33 are glibc's own */

        (void)signal(SIGPIPE, SIG_DFL);
        fd_close(fd);
        fd_close(other);
        fd_close(pair[0]);
        fd_close(pair[1]);
        rig_free(rig);
}

/* Whose answer makes no sense, or who dies, costs one job; what waits is done by another process. */
static void test_bad(gconstpointer data) {
        const char *gpu = data;
        Rig *rig = rig_new(LONG_USEC, LONG_USEC);
        Ear first = {}, second = {}, third = {};

        g_assert_cmpint(submit(rig, gpu, JOB_SYNC, &first), ==, 0);
        g_assert_cmpint(submit(rig, gpu, JOB_CREATE, &second), ==, 0);
        g_assert_cmpint(submit(rig, "good", JOB_SYNC, &third), ==, 0);
        WAIT_FOR(rig, first.n_done && second.n_done && third.n_done);
        g_assert_cmpint(first.code, ==, -EPIPE);
        g_assert_nonnull(strstr(first.message, gpu));
        g_assert_cmpint(second.code, ==, 0);
        g_assert_cmpint(third.code, ==, 0);
        g_assert_cmpuint(count(rig, "pids"), ==, 3);
        g_assert_true(first.n_done == 1 && second.n_done == 1 && third.n_done == 1);
        g_assert_cmpuint(first.n_timeouts, ==, 0);
        rig_free(rig);
}

/* It answers as it should, then says something else or ends: what waits is told exactly once, whichever it is. */
static void test_spoiled(gconstpointer data) {
        const char *gpu = data;
        Rig *rig = rig_new(LONG_USEC, LONG_USEC);
        Ear first = {}, second = {}, third = {};

        g_assert_cmpint(submit(rig, gpu, JOB_SYNC, &first), ==, 0);
        g_assert_cmpint(submit(rig, gpu, JOB_SYNC, &second), ==, 0);
        WAIT_FOR(rig, first.n_done && second.n_done);
        g_assert_cmpint(first.code, ==, 0);
        g_assert_true(second.code == 0 || second.code == -EPIPE);
        g_assert_cmpint(submit(rig, gpu, JOB_SYNC, &third), ==, 0);
        WAIT_FOR(rig, third.n_done);
        g_assert_true(first.n_done == 1 && second.n_done == 1 && third.n_done == 1);
        rig_free(rig);
}

static void test_slow(void) {
        Rig *rig = rig_new(LONG_USEC, LONG_USEC);
        Ear a = {}, b = {};

        g_assert_cmpint(submit(rig, "slow", JOB_SYNC, &a), ==, 0);
        g_assert_cmpint(submit(rig, "slow", JOB_SYNC, &b), ==, 0);
        WAIT_FOR(rig, a.n_done && b.n_done);
        g_assert_true(a.code == 0 && b.code == 0);
        g_assert_cmpint(a.pid, ==, b.pid);
        rig_free(rig);
}

/* It does not answer in time: it is named and left alone, and its answer is taken when it comes. */
static void test_stuck(void) {
        Rig *rig = rig_new(SHORT_USEC, LONG_USEC);
        Ear stuck = {}, waiting = {}, refused = {}, other = {}, after = {};

        g_assert_cmpint(submit(rig, "wait", JOB_SYNC, &stuck), ==, 0);
        g_assert_cmpint(submit(rig, "wait", JOB_CREATE, &waiting), ==, 0);
        WAIT_FOR(rig, stuck.n_timeouts && waiting.n_done);
        g_assert_cmpint(kill(stuck.stuck, 0), ==, 0);
        g_assert_cmpint(waiting.code, ==, -ERROR_BUSY);
        g_assert_nonnull(strstr(waiting.message, "stuck"));
        g_assert_cmpint(submit(rig, "wait", JOB_CREATE, &refused), ==, -EBUSY);
        g_assert_cmpint(submit(rig, "good", JOB_CREATE, &other), ==, 0);
        WAIT_FOR(rig, other.n_done);
        g_assert_cmpint(other.code, ==, 0);
        g_assert_cmpuint(stuck.n_done, ==, 0);

        go(rig);
        WAIT_FOR(rig, stuck.n_done);
        g_assert_cmpint(stuck.code, ==, 0);
        g_assert_cmpint(stuck.pid, ==, stuck.stuck);
        g_assert_cmpint(submit(rig, "wait", JOB_CREATE, &after), ==, 0);
        WAIT_FOR(rig, after.n_done);
        g_assert_cmpint(after.pid, ==, stuck.pid);
        g_assert_true(stuck.n_timeouts == 1 && waiting.n_done == 1 && refused.n_done == 0);
        rig_free(rig);
}

/* A stuck worker that dies after all ends its job, and the GPU is served again. */
static void test_stuck_dies(void) {
        Rig *rig = rig_new(SHORT_USEC, LONG_USEC);
        Ear stuck = {}, after = {};

        g_assert_cmpint(submit(rig, "wait", JOB_SYNC, &stuck), ==, 0);
        WAIT_FOR(rig, stuck.n_timeouts);
        g_assert_cmpint(kill(stuck.stuck, SIGKILL), ==, 0);
        WAIT_FOR(rig, stuck.n_done);
        g_assert_cmpint(stuck.code, ==, -EPIPE);
        g_assert_cmpint(submit(rig, "wait", JOB_CREATE, &after), ==, 0);
        WAIT_FOR(rig, after.n_done);
        g_assert_cmpint(after.code, ==, 0);
        rig_free(rig);
}

#define N_REMOVALS 40U
#define REMOVALS_MAX 32U

static unsigned count_done(const Ear *ears, size_t n) {
        unsigned done = 0;

        for (size_t i = 0; i < n; i++) {
                g_assert_cmpuint(ears[i].n_done, <=, 1);
                done += ears[i].n_done;
        }
        return done;
}

/* So many at a time, each in a process of its own; the GPU itself is served all the while. */
static void test_removals(void) {
        Rig *rig = rig_new(LONG_USEC, LONG_USEC);
        Ear ears[N_REMOVALS] = {}, other = {};
        const PlatformOps *ops = rig->platform->ops;

        for (unsigned i = 0; i < N_REMOVALS; i++)
                g_assert_cmpint(submit(rig, "wait", JOB_REMOVE, &ears[i]), ==, 0);
        WAIT_FOR(rig, count(rig, "pids") == REMOVALS_MAX);
        g_assert_cmpint(submit(rig, "good", JOB_SYNC, &other), ==, 0);
        WAIT_FOR(rig, other.n_done);
        g_assert_cmpuint(count(rig, "pids"), ==, REMOVALS_MAX + 1);

        /* What has not begun can be taken back. */
        g_assert_false(ops->cancel(rig->platform, ears[0].job));
        g_assert_true(ops->cancel(rig->platform, ears[N_REMOVALS - 1].job));
        go(rig);
        WAIT_FOR(rig, count_done(ears, N_REMOVALS) == N_REMOVALS - 1);
        g_assert_cmpuint(ears[N_REMOVALS - 1].n_done, ==, 0);
        g_assert_cmpuint(count(rig, "pids"), ==, N_REMOVALS);
        for (unsigned i = 0; i < N_REMOVALS - 1; i++)
                g_assert_cmpint(ears[i].code, ==, 0);
        rig_free(rig);
}

/* Others do not wait for those that are stuck. */
static void test_stuck_removals(void) {
        Rig *rig = rig_new(LONG_USEC, SHORT_USEC);
        Ear ears[REMOVALS_MAX + 2] = {};

        for (size_t i = 0; i < ELEMENTSOF(ears); i++)
                g_assert_cmpint(submit(rig, "wait", JOB_REMOVE, &ears[i]), ==, 0);
        WAIT_FOR(rig, ears[ELEMENTSOF(ears) - 1].n_timeouts);
        g_assert_cmpuint(count(rig, "pids"), ==, ELEMENTSOF(ears));
        go(rig);
        WAIT_FOR(rig, count_done(ears, ELEMENTSOF(ears)) == ELEMENTSOF(ears));
        for (size_t i = 0; i < ELEMENTSOF(ears); i++)
                g_assert_true(ears[i].n_timeouts == 1 && ears[i].code == 0);
        WAIT_FOR(rig, no_children());
        rig_free(rig);
}

#define USERS_MAX 8U
#define USERS_WAITING_MAX 128U

/* Who asks for users takes no place from removals, and does not wait in a queue without end. */
static void test_users(void) {
        Rig *rig = rig_new(LONG_USEC, LONG_USEC);
        Ear ears[USERS_MAX + USERS_WAITING_MAX] = {}, refused = {}, removal = {}, again = {};

        for (size_t i = 0; i < ELEMENTSOF(ears); i++)
                g_assert_cmpint(submit(rig, "wait", JOB_USERS, &ears[i]), ==, 0);
        g_assert_cmpint(submit(rig, "wait", JOB_USERS, &refused), ==, -EDQUOT);
        WAIT_FOR(rig, count(rig, "pids") == USERS_MAX);
        g_assert_cmpint(submit(rig, "good", JOB_REMOVE, &removal), ==, 0);
        WAIT_FOR(rig, removal.n_done);
        g_assert_cmpuint(count(rig, "pids"), ==, USERS_MAX + 1);

        /* What is taken back makes room. */
        g_assert_true(rig->platform->ops->cancel(rig->platform, ears[ELEMENTSOF(ears) - 1].job));
        g_assert_cmpint(submit(rig, "wait", JOB_USERS, &again), ==, 0);
        go(rig);
        WAIT_FOR(rig, again.n_done && count_done(ears, ELEMENTSOF(ears)) == ELEMENTSOF(ears) - 1);
        g_assert_cmpuint(refused.n_done, ==, 0);
        rig_free(rig);
}

/* Nothing is lost with one that looks for users and does not come back: it is killed, and nobody waits for it. */
static void test_stuck_users(void) {
        Rig *rig = rig_new(LONG_USEC, SHORT_USEC);
        Ear ears[USERS_MAX + 2] = {};

        for (size_t i = 0; i < ELEMENTSOF(ears); i++)
                g_assert_cmpint(submit(rig, "wait", JOB_USERS, &ears[i]), ==, 0);
        WAIT_FOR(rig, count_done(ears, ELEMENTSOF(ears)) == ELEMENTSOF(ears));
        for (size_t i = 0; i < ELEMENTSOF(ears); i++)
                g_assert_true(ears[i].n_timeouts == 1 && ears[i].code == -EPIPE);
        WAIT_FOR(rig, no_children());
        rig_free(rig);
}

/* A GPU goes with everything under way: nobody hears of it any more, and nothing of it stays. */
static void test_release(void) {
        Rig *rig = rig_new(LONG_USEC, LONG_USEC);
        Ear running = {}, waiting = {}, removal = {}, again = {};
        const PlatformOps *ops = rig->platform->ops;

        g_assert_cmpint(submit(rig, "wait", JOB_SYNC, &running), ==, 0);
        g_assert_cmpint(submit(rig, "wait", JOB_CREATE, &waiting), ==, 0);
        g_assert_cmpint(submit(rig, "wait", JOB_REMOVE, &removal), ==, 0);
        WAIT_FOR(rig, count(rig, "pids") == 2);
        ops->forget(rig->platform, running.job);
        ops->forget(rig->platform, waiting.job);
        ops->forget(rig->platform, removal.job);
        ops->release_gpu(rig->platform, "wait");
        ops->release_gpu(rig->platform, "never heard of");

        /* It is back before the worker has ended: another one serves it. */
        WAIT_FOR(rig, path_exists(rig->dir_fd, "wait"));
        g_assert_cmpint(submit(rig, "wait", JOB_SYNC, &again), ==, 0);
        WAIT_FOR(rig, again.n_done);
        g_assert_cmpint(again.code, ==, 0);
        ops->release_gpu(rig->platform, "wait");
        go(rig);
        WAIT_FOR(rig, no_children());
        g_assert_true(running.n_done == 0 && waiting.n_done == 0 && removal.n_done == 0);
        rig_free(rig);
}

/* Whoever is told lets the GPU go, whatever he is told. */
static void test_release_when_told(gconstpointer data) {
        Rig *rig = rig_new(LONG_USEC, LONG_USEC);
        Ear ear = { .release = true }, again = {};
        const char *gpu = data;

        g_assert_cmpint(submit(rig, gpu, JOB_SYNC, &ear), ==, 0);
        WAIT_FOR(rig, ear.n_done);
        g_assert_cmpint(submit(rig, gpu, JOB_SYNC, &again), ==, 0);
        WAIT_FOR(rig, again.n_done);
        g_assert_cmpint(again.code, ==, 0);
        rig->platform->ops->release_gpu(rig->platform, gpu);
        WAIT_FOR(rig, no_children());
        rig_free(rig);
}

/* There is no such program. */
static void test_no_program(void) {
        Rig *rig = rig_new(LONG_USEC, LONG_USEC);
        Ear sync = {}, removal = {}, unheard = {}, forgotten = {};

        rig->command[0] = "/nonexistent/worker";
        g_assert_cmpint(submit(rig, "a", JOB_SYNC, &sync), ==, -ENOENT);
        g_assert_cmpint(submit(rig, "a", JOB_REMOVE, &removal), ==, 0);
        WAIT_FOR(rig, removal.n_done);
        g_assert_cmpint(removal.code, ==, -ENOENT);

        g_assert_cmpint(submit(rig, "a", JOB_REMOVE, &forgotten), ==, 0);
        rig->platform->ops->forget(rig->platform, forgotten.job);
        g_assert_cmpint(sd_event_run(rig->event, 0), >=, 0);
        g_assert_cmpint(submit(rig, "a", JOB_REMOVE, &unheard), ==, 0);
        rig_free(rig);
        g_assert_true(sync.n_done == 0 && removal.n_done == 1 && unheard.n_done == 0 && forgotten.n_done == 0);
}

/* The worker dies and no other can be started: what waits is told, and may let the GPU go at that. */
static void test_no_successor(void) {
        Rig *rig = rig_new(LONG_USEC, LONG_USEC);
        Ear first = {}, second = { .release = true }, third = {};

        g_assert_cmpint(submit(rig, "vanishes", JOB_SYNC, &first), ==, 0);
        g_assert_cmpint(submit(rig, "vanishes", JOB_CREATE, &second), ==, 0);
        g_assert_cmpint(submit(rig, "vanishes", JOB_CREATE, &third), ==, 0);
        rig->platform->ops->forget(rig->platform, third.job);
        WAIT_FOR(rig, path_exists(rig->dir_fd, "vanish"));
        rig->command[0] = "/nonexistent/worker";
        g_assert_cmpint(unlinkat(rig->dir_fd, "vanish", 0), ==, 0);
        WAIT_FOR(rig, first.n_done && second.n_done);
        g_assert_cmpint(first.code, ==, -EPIPE);
        g_assert_cmpint(second.code, ==, -ENOENT);
        g_assert_true(first.n_done == 1 && second.n_done == 1 && third.n_done == 0);
        rig_free(rig);
}

/* It ends with jobs of every kind in every state: nobody is called back. */
static void test_end(void) {
        Rig *rig = rig_new(SHORT_USEC, LONG_USEC);
        Ear ears[REMOVALS_MAX + 6] = {};
        unsigned before;

        g_assert_cmpint(submit(rig, "wait-stuck", JOB_SYNC, &ears[0]), ==, 0);
        WAIT_FOR(rig, ears[0].n_timeouts);
        g_assert_cmpint(submit(rig, "wait", JOB_CREATE, &ears[1]), ==, 0);
        g_assert_cmpint(submit(rig, "wait", JOB_CREATE, &ears[2]), ==, 0);
        for (size_t i = 3; i < ELEMENTSOF(ears); i++)
                g_assert_cmpint(submit(rig, "wait", JOB_REMOVE, &ears[i]), ==, 0);
        before = count_done(ears, ELEMENTSOF(ears));
        go(rig);
        rig_free(rig);
        g_assert_cmpuint(count_done(ears, ELEMENTSOF(ears)), ==, before);
}

static unsigned count_files(void) {
        _cleanup_(dir_closep) DIR *dir = NULL;
        unsigned n = 0;

        g_assert_cmpint(directory_list(AT_FDCWD, "/proc/self/fd", &dir), ==, 0);
        while (directory_next(dir))
                n++;
        return n;
}

static void do_many(Rig *rig, unsigned n_jobs, unsigned n_removals) {
        g_autofree Ear *ears = g_new0(Ear, n_jobs + n_removals);
        static const char *const gpus[] = { "good-1", "good-2", "good-3" };

        for (unsigned i = 0; i < n_jobs; i++)
                g_assert_cmpint(submit(rig, gpus[i % 3], i % 2 ? JOB_SYNC : JOB_CREATE, &ears[i]), ==, 0);
        for (unsigned i = n_jobs; i < n_jobs + n_removals; i++)
                g_assert_cmpint(submit(rig, gpus[i % 3], JOB_REMOVE, &ears[i]), ==, 0);
        WAIT_FOR(rig, count_done(ears, n_jobs + n_removals) == n_jobs + n_removals);
        for (unsigned i = 0; i < n_jobs + n_removals; i++)
                g_assert_cmpint(ears[i].code, ==, 0);
}

/* Nothing piles up: no descriptor, no memory, no process. */
static void test_many(void) {
        Rig *rig = rig_new(LONG_USEC, LONG_USEC);
        unsigned files;
        size_t memory;

        do_many(rig, 30, 3);
        files = count_files();
        memory = mallinfo2().uordblks;
        for (unsigned i = 0; i < 3; i++)
                do_many(rig, 1500, 20);
        WAIT_FOR(rig, count_files() <= files);
        /* A worker's input buffer may have grown; nothing else. (Sanitizers say 0 here, and look for leaks themselves.) */
        g_assert_cmpuint(mallinfo2().uordblks, <=, memory + 65536);

        for (unsigned i = 1; i <= 3; i++) {
                g_autofree char *gpu = g_strdup_printf("good-%u", i);

                rig->platform->ops->release_gpu(rig->platform, gpu);
        }
        WAIT_FOR(rig, no_children());
        rig_free(rig);
}

/* More than anybody may ask of one GPU. */
static void test_queue_full(void) {
        Rig *rig = rig_new(LONG_USEC, LONG_USEC);
        g_autofree Ear *ears = g_new0(Ear, 5000);
        Ear other = {};
        unsigned n = 0;
        int r;

        while ((r = submit(rig, "wait", JOB_CREATE, &ears[n])) >= 0)
                g_assert_cmpuint(++n, <, 5000);
        g_assert_cmpint(r, ==, -EDQUOT);
        g_assert_cmpint(submit(rig, "good", JOB_CREATE, &other), ==, 0);
        go(rig);
        WAIT_FOR(rig, count_done(ears, n) == n && other.n_done);
        rig_free(rig);
}

int main(int argc, char **argv) {
        static const char *const bad[] = { "nonsense", "half",  "header", "other",      "huge",
                                           "none",     "empty", "more",   "still-born", "dies" };
        static const char *const spoiled[] = { "twice", "quits" };
        static const char *const told[] = { "good", "nonsense", "dies" };
        sigset_t mask;

        g_test_init(&argc, &argv, NULL);
        (void)sigemptyset(&mask);
        (void)sigaddset(&mask, SIGCHLD);
        g_assert_cmpint(sigprocmask(SIG_BLOCK, &mask, NULL), ==, 0);

        g_test_add_func("/worker/good", test_good);
        g_test_add_func("/worker/inherits-nothing", test_inherits_nothing);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                g_autofree char *name = g_strdup_printf("/worker/bad/%s", bad[i]);

                g_test_add_data_func(name, bad[i], test_bad);
        }
        for (size_t i = 0; i < ELEMENTSOF(spoiled); i++) {
                g_autofree char *name = g_strdup_printf("/worker/spoiled/%s", spoiled[i]);

                g_test_add_data_func(name, spoiled[i], test_spoiled);
        }
        g_test_add_func("/worker/slow", test_slow);
        g_test_add_func("/worker/stuck", test_stuck);
        g_test_add_func("/worker/stuck-dies", test_stuck_dies);
        g_test_add_func("/worker/no-program", test_no_program);
        g_test_add_func("/worker/no-successor", test_no_successor);
        g_test_add_func("/worker/queue-full", test_queue_full);
        g_test_add_func("/removal/many", test_removals);
        g_test_add_func("/removal/stuck", test_stuck_removals);
        g_test_add_func("/supervisor/users", test_users);
        g_test_add_func("/supervisor/stuck-users", test_stuck_users);
        g_test_add_func("/release/in-flight", test_release);
        for (size_t i = 0; i < ELEMENTSOF(told); i++) {
                g_autofree char *name = g_strdup_printf("/release/when-told/%s", told[i]);

                g_test_add_data_func(name, told[i], test_release_when_told);
        }
        g_test_add_func("/supervisor/end", test_end);
        g_test_add_func("/supervisor/many", test_many);

        return g_test_run();
}
