/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * bad-worker DIR GPU: plays a worker, as badly as the GPU's name says. What it was told to do badly it does once: after
 * that DIR/GPU exists, and a worker for that GPU is a good one. DIR/pids holds a file for each process.
 */

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "util/file.h"
#include "worker/protocol.h"

static const char *dir, *gpu;

static void require(bool condition) {
        if (!condition)
                _exit(99);
}

static void touch(const char *folder, const char *name) {
        char path[512];
        int fd;

        (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
        fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        require(fd >= 0);
        (void)close(fd);
}

static bool exists(const char *name) {
        char path[512];

        (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
        return access(path, F_OK) >= 0;
}

static void send_bytes(const void *data, size_t size) {
        require(send(STDIN_FILENO, data, size, MSG_NOSIGNAL) == (ssize_t)size);
}

/* Every descriptor that it has but the one to look. */
static void describe_files(char *buffer, size_t size) {
        DIR *d = opendir("/proc/self/fd");
        struct dirent *entry;
        size_t n = 0;

        require(d);
        while ((entry = directory_next(d)))
                if (atoi(entry->d_name) != dirfd(d))
                        n += (size_t)snprintf(buffer + n, size - n, "%s ", entry->d_name);
        (void)closedir(d);
}

/* Its signal masks, as "SigBlk SigIgn". */
static void describe_signals(char *buffer, size_t size) {
        char line[256], blocked[32] = "?", ignored[32] = "?";
        FILE *f = fopen("/proc/self/status", "re");

        require(f);
        while (fgets(line, sizeof(line), f)) {
                (void)sscanf(line, "SigBlk:\t%31s", blocked);
                (void)sscanf(line, "SigIgn:\t%31s", ignored);
        }
        (void)fclose(f);
        (void)snprintf(buffer, size, "%s %s", blocked, ignored);
}

static void make_answer(WireWriter *w, uint32_t number, JobKind kind) {
        JobResult result;

        job_result_init(&result);
        result.report.state = GPU_READY;
        (void)snprintf(result.report.model, sizeof(result.report.model), "%i", (int)getpid());
        describe_files(result.report.reason, sizeof(result.report.reason));
        describe_signals(result.report.driver, sizeof(result.report.driver));
        (void)snprintf(result.vgpu.uuid, sizeof(result.vgpu.uuid), "11111111-2fa1-4d2e-883f-0016d3cca427");
        (void)snprintf(result.vgpu.sysfs_path, sizeof(result.vgpu.sysfs_path), "/sys/bus/mdev/devices/%s",
                       result.vgpu.uuid);
        (void)snprintf(result.vgpu.type_id, sizeof(result.vgpu.type_id), "type");
        (void)snprintf(result.vgpu.parent, sizeof(result.vgpu.parent), "%i", (int)getpid());
        result.exists = kind == JOB_CREATE;
        protocol_put_result(w, number, kind, &result);
        job_result_done(&result);
        require(w->error == 0);
}

static void wait_for_go(void) {
        while (!exists("go"))
                (void)usleep(5000);
}

static void behave_badly(WireWriter *w) {
        static const uint32_t huge = UINT32_MAX, none = 0, number_only = 4;
        uint32_t length = (uint32_t)w->size - 4 + 1;

        if (strncmp(gpu, "nonsense", 8) == 0) {
                memset(w->data + PROTOCOL_HEADER_SIZE, 0xff, w->size - PROTOCOL_HEADER_SIZE);
                send_bytes(w->data, w->size);
        } else if (strncmp(gpu, "half", 4) == 0) {
                send_bytes(w->data, w->size / 2);
                _exit(0);
        } else if (strncmp(gpu, "header", 6) == 0) {
                send_bytes(w->data, 3);
                _exit(0);
        } else if (strncmp(gpu, "other", 5) == 0) {
                w->data[4]++;
                send_bytes(w->data, w->size);
        } else if (strncmp(gpu, "huge", 4) == 0) {
                send_bytes(&huge, sizeof(huge));
                send_bytes(&huge, sizeof(huge));
        } else if (strncmp(gpu, "none", 4) == 0) {
                send_bytes(&none, sizeof(none));
                send_bytes(&none, sizeof(none));
        } else if (strncmp(gpu, "empty", 5) == 0) {
                send_bytes(&number_only, sizeof(number_only));
                send_bytes(w->data + 4, 4);
        } else if (strncmp(gpu, "more", 4) == 0) {
                memcpy(w->data, &length, sizeof(length));
                send_bytes(w->data, w->size);
                send_bytes("", 1);
        } else if (strncmp(gpu, "twice", 5) == 0) {
                send_bytes(w->data, w->size);
                send_bytes(w->data, w->size);
        } else if (strncmp(gpu, "quits", 5) == 0) {
                send_bytes(w->data, w->size);
                _exit(0);
        } else if (strncmp(gpu, "vanishes", 8) == 0) {
                /* Until it is let go, when nobody can be started in its place. */
                touch(dir, "vanish");
                while (exists("vanish"))
                        (void)usleep(1000);
                _exit(0);
        } else if (strncmp(gpu, "slow", 4) == 0)
                for (size_t i = 0; i < w->size; i++) {
                        send_bytes(w->data + i, 1);
                        (void)usleep(300);
                }
        else if (strncmp(gpu, "wait", 4) == 0) {
                wait_for_go();
                send_bytes(w->data, w->size);
        } else
                _exit(0); /* dies */
}

static bool read_all(void *data, size_t size) {
        for (size_t n = 0; n < size;) {
                ssize_t k = read(STDIN_FILENO, (uint8_t *)data + n, size - n);

                if (k <= 0)
                        return false;
                n += (size_t)k;
        }

        return true;
}

static bool serve(void) {
        static uint8_t body[1 << 20];
        WireWriter w = {};
        uint32_t header[2];
        DecodedJob job;
        bool own;

        if (!read_all(header, sizeof(header)))
                return false;
        require(header[0] - 4 <= sizeof(body));
        require(read_all(body, header[0] - 4));
        require(protocol_get_job(body, header[0] - 4, &job) >= 0);
        make_answer(&w, header[1], job.job.kind);

        /* A worker of one job waits as long as it has to, whatever the GPU's own has done by now. */
        own = job.job.kind == JOB_REMOVE || job.job.kind == JOB_USERS;
        if (strncmp(gpu, "good", 4) == 0 || (!own && exists(gpu)))
                send_bytes(w.data, w.size);
        else {
                if (!own)
                        touch(dir, gpu);
                behave_badly(&w);
        }

        wire_writer_done(&w);
        decoded_job_done(&job);
        return true;
}

int main(int argc, char **argv) {
        char pids[512], pid[32];

        /* A test that fails leaves nobody who waits for ever. */
        require(prctl(PR_SET_PDEATHSIG, SIGKILL) >= 0);
        require(argc == 3);
        dir = argv[1];
        gpu = argv[2];
        (void)snprintf(pids, sizeof(pids), "%s/pids", dir);
        (void)snprintf(pid, sizeof(pid), "%i", (int)getpid());
        touch(pids, pid);

        if (strncmp(gpu, "still-born", 10) == 0 && !exists(gpu)) {
                touch(dir, gpu);
                _exit(0);
        }
        while (serve())
                ;

        /* Not by exit(): LeakSanitizer would trace the process there, and one that is killed while it is traced is not seen
         * to end (kernel 6.18: pidfd_poll() says so before wait4() does, and sd-event 252 asks once). */
        _exit(EXIT_SUCCESS);
}
