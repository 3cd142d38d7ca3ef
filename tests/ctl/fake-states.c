/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Saved states and the jobs that make them, of which the stand-in daemon has one out of a vGPU and one into a vGPU. How it
 * goes is told by a word: the name of the state, what shall become of the vGPU after an export, or the label for an import:
 *
 *   fail    it fails half-way      wait    it goes on until it is cancelled
 *   drop    the daemon goes        early   it has ended before anybody asks
 *   reset   the device was reset   anything else: it is done, but for UUID_FAILED, whose state is written, and no more
 */

#include <errno.h>
#include <unistd.h>

#include "fake.h"

#define JOB_INTERFACE "org.mdevgpu1.Job"
#define STATE_TEXT "state of a vGPU\n"
#define STATE_SIZE (sizeof STATE_TEXT - 1)

typedef struct Job {
        const char *path, *operation, *state, *error, *message;
        char word[32], name[32], uuid[64];
        uint64_t bytes;
} Job;

static Job jobs[] = { { .path = ROOT "/job/7" }, { .path = ROOT "/job/8" } };

static Job *job_of(sd_bus_message *m) {
        return &jobs[strcmp(sd_bus_message_get_path(m), jobs[0].path) != 0];
}

static int job_is(const Job *job, const char *word) {
        return strcmp(job->word, word) == 0;
}

static void job_append_result(const Job *job, sd_bus_message *m) {
        OPEN(m, 'a', "{sv}");
        APPEND(m, "{sv}{sv}", "uuid", "s", is("hostile") ? HOSTILE : job->uuid, "bytes", "t", job->bytes);
        if (job->name[0])
                APPEND(m, "{sv}", "name", "s", job->name);
        if (strcmp(job->state, "running") == 0)
                APPEND(m, "{sv}{sv}", "phase", "s", is("hostile") ? HOSTILE : "pre-copy", "dirty", "t",
                       (uint64_t)12 << 20);
        APPEND(m, "{sv}{sv}", "downtime", "t", (uint64_t)82500, "reset", "b", job_is(job, "reset"));
        APPEND(m, "{sv}", "changed", "b", strcmp(job->state, "done") == 0 || strcmp(job->uuid, UUID_FAILED) == 0);
        CLOSE(m);
}

static void job_end(Job *job, const char *state, const char *error, const char *message) {
        job->state = state;
        job->error = error;
        job->message = message;
}

static void job_emit_progress(const Job *job, sd_bus *bus, double progress) {
        check(sd_bus_emit_signal(bus, job->path, "org.freedesktop.DBus.Properties", "PropertiesChanged", "sa{sv}as",
                                 JOB_INTERFACE, 2, "Progress", "d", progress, "Bytes", "t", (uint64_t)250 << 20, 0),
              "emit");
}

static void job_emit_finished(const Job *job, sd_bus *bus) {
        sd_bus_message *m = NULL;

        check(sd_bus_message_new_signal(bus, &m, job->path, JOB_INTERFACE, "Finished"), "signal");
        APPEND(m, "s", job->state);
        job_append_result(job, m);
        APPEND(m, "ss", job->error, job->message);
        check(sd_bus_send(bus, m, NULL), "send");
        sd_bus_message_unref(m);
}

static void job_go_on(Job *job, sd_bus *bus) {
        if (strcmp(job->state, "running") != 0)
                return;

        if (job_is(job, "drop")) {
                check(sd_bus_flush(bus), "flush");
                exit(EXIT_SUCCESS);
        }
        job_emit_progress(job, bus, 0.5);
        if (job_is(job, "wait"))
                return;

        if (strcmp(job->uuid, UUID_FAILED) == 0)
                job_end(job, "failed", ERROR_PREFIX "Timeout", "The state is saved, but the vGPU is not destroyed.");
        else if (job_is(job, "fail"))
                job_end(job, "failed", ERROR_PREFIX "StateInvalid", "The image is cut off.");
        else
                job_end(job, "done", "", "");
        job_emit_finished(job, bus);
}

int answer_job(sd_bus_message *m, sd_bus_message *reply) {
        Job *job = job_of(m);

        OPEN(reply, 'a', "{sv}");
        APPEND(reply, "{sv}{sv}{sv}{sv}", "Id", "u", 7, "Operation", "s", job->operation, "State", "s", job->state,
               "Cancelable", "b", 1);
        APPEND(reply, "{sv}{sv}{sv}{sv}{sv}", "Progress", "d", 0.25, "ProgressValid", "b", 1, "Bytes", "t",
               (uint64_t)100 << 20, "TotalBytes", "t", (uint64_t)400 << 20, "Rate", "t", (uint64_t)50 << 20);
        APPEND(reply, "{sv}{sv}{sv}", "ExpectedEndTime", "t", UINT64_MAX, "Error", "s", job->error, "ErrorMessage", "s",
               job->message);
        OPEN(reply, 'e', "sv");
        APPEND(reply, "s", "Result");
        OPEN(reply, 'v', "a{sv}");
        job_append_result(job, reply);
        CLOSE(reply);
        CLOSE(reply);
        CLOSE(reply);
        check(sd_bus_send(NULL, reply, NULL), "send");
        job_go_on(job, sd_bus_message_get_bus(m));
        return 1;
}

int answer_cancel(sd_bus_message *m, sd_bus_message *reply) {
        Job *job = job_of(m);

        check(sd_bus_message_enter_container(m, 'a', "{sv}"), "enter");
        if (sd_bus_message_at_end(m, false) == 0) {
                check(sd_bus_reply_method_errorf(m, SD_BUS_ERROR_INVALID_ARGS, "Cancel() has no options"), "reply");
                return 1;
        }
        check(sd_bus_send(NULL, reply, NULL), "send");
        job_end(job, "cancelled", ERROR_PREFIX "Cancelled", "It was cancelled.");
        job_emit_finished(job, sd_bus_message_get_bus(m));
        return 1;
}

/* A text among the options; NULL: it is not there. */
static const char *read_option(sd_bus_message *m, const char *name) {
        const char *key, *value = NULL, *found = NULL;

        check(sd_bus_message_enter_container(m, 'a', "{sv}"), "enter");
        while (sd_bus_message_enter_container(m, 'e', "sv") > 0) {
                check(sd_bus_message_read(m, "s", &key), "read");
                if (sd_bus_message_read(m, "v", "s", &value) < 0)
                        check(sd_bus_message_skip(m, "v"), "skip");
                else if (strcmp(key, name) == 0)
                        found = value;
                check(sd_bus_message_exit_container(m), "exit");
        }

        return found;
}

static int job_begin(sd_bus_message *reply, const char *operation, const char *uuid, const char *name, const char *word,
                     uint64_t bytes) {
        Job *job = &jobs[strcmp(operation, "restore-state") == 0 || strcmp(operation, "import-state") == 0];

        job->operation = operation;
        job->bytes = bytes;
        (void)snprintf(job->uuid, sizeof job->uuid, "%s", uuid);
        (void)snprintf(job->name, sizeof job->name, "%s", name);
        (void)snprintf(job->word, sizeof job->word, "%s", word ? word : "");
        job_end(job, job_is(job, "early") ? "done" : "running", "", "");
        APPEND(reply, "o", job->path);
        return 0;
}

int answer_save(sd_bus_message *m, sd_bus_message *reply) {
        bool restores = sd_bus_message_is_method_call(m, NULL, "RestoreState") > 0;
        const char *first, *name, *uuid;

        check(sd_bus_message_read(m, "ss", &first, &name), "read");
        if (obey(m, name) || obey(m, first))
                return 1;
        uuid = read_option(m, "uuid");
        if (strcmp(first, UUID_ECHO) == 0 || (uuid && strcmp(uuid, UUID_ECHO) == 0))
                return echo(m);

        return job_begin(reply, restores ? "restore-state" : "save-state", restores ? UUID : first, name, name,
                         (uint64_t)400 << 20);
}

int answer_export(sd_bus_message *m, sd_bus_message *reply) {
        const char *uuid, *after;
        size_t size;
        int fd;

        check(sd_bus_message_read(m, "sh", &uuid, &fd), "read");
        if (obey(m, uuid))
                return 1;
        if (strcmp(uuid, UUID_ECHO) == 0)
                return echo(m);

        after = read_option(m, "after");
        size = after && (strcmp(after, "fail") == 0 || strcmp(after, "wait") == 0) ? STATE_SIZE / 2 : STATE_SIZE;
        check(write(fd, STATE_TEXT, size) == (ssize_t)size ? 0 : -errno, "write");
        return job_begin(reply, "export-state", uuid, "", after, size);
}

/* All of it, or what there is of it. */
static size_t read_to_end(int fd, char *buffer, size_t size) {
        size_t n = 0;
        ssize_t k;

        while (n < size && (k = read(fd, buffer + n, size - n)) > 0)
                n += (size_t)k;

        return n;
}

int answer_import(sd_bus_message *m, sd_bus_message *reply) {
        const char *gpu, *uuid, *label;
        char text[64];
        size_t n;
        int fd;

        check(sd_bus_message_read(m, "sh", &gpu, &fd), "read");
        if (obey(m, gpu))
                return 1;
        label = read_option(m, "label");
        check(sd_bus_message_rewind(m, true), "rewind");
        check(sd_bus_message_skip(m, "sh"), "skip");
        uuid = read_option(m, "uuid");
        if (uuid && strcmp(uuid, UUID_ECHO) == 0)
                return echo(m);

        n = label && strcmp(label, "wait") == 0 ? STATE_SIZE : read_to_end(fd, text, sizeof text);
        return job_begin(reply, "import-state", uuid ? uuid : UUID, "", n == STATE_SIZE ? label : "fail", n);
}

int answer_states(sd_bus_message *m, sd_bus_message *reply) {
        const char *name = is("hostile") ? HOSTILE : "web-1", *text = is("hostile") ? HOSTILE : "web 1";

        OPEN(reply, 'a', "(ssstta{sv})");
        if (is("good") || is("hostile")) {
                APPEND(reply, "(ssstta{sv})", name, is("hostile") ? HOSTILE : UUID, "nvidia-530", (uint64_t)3 << 30,
                       (uint64_t)1764100000 * 1000000, 5, "label", "s", text, "host", "s", "here", "gpu", "s",
                       "0000:42:00.0", "driver", "s", "nvidia", "driver-version", "s", "535.54.06");
                APPEND(reply, "(ssstta{sv})", "broken", "", "", (uint64_t)512, (uint64_t)1764100000 * 1000000, 1,
                       "error", "s", is("hostile") ? HOSTILE : "It is no image of a state.");
                APPEND(reply, "(ssstta{sv})", "db", UUID_DEFINED, "nvidia-54", UINT64_MAX, UINT64_MAX, 2, "label", "s",
                       "", "gpu", "s", "0000:41:00.0");
        }
        CLOSE(reply);
        return 0;
}
