/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Job: what the daemon does by itself after it has answered, followed to its end.
 *
 * What it says is asked for once and then heard. The daemon is spoken to by its unique name: one that was started in the
 * meantime has another job of the same number.
 */

#include <signal.h>

#include "bus.h"
#include "job.h"
#include "progress.h"
#include "reply.h"

/* Nothing wakes a wait that begins right after Ctrl-C. */
#define LOOK_USEC 200000U

#define PROPERTIES "org.freedesktop.DBus.Properties"

static volatile sig_atomic_t interrupted;
static const char *volatile interrupt_path;

/* Only what may be done in a handler. */
static void on_interrupt(int signal) {
        const char *path = interrupt_path;
        int error = errno;

        if (!interrupted) {
                interrupted = 1;
                return;
        }

        if (path)
                (void)unlink(path);
        (void)sigaction(signal, &(struct sigaction){ .sa_handler = SIG_DFL }, NULL);
        (void)raise(signal);
        errno = error;
}

void interrupts_catch(bool transfer) {
        static const int signals[] = { SIGINT, SIGTERM, SIGHUP };

        for (size_t i = 0; i < (transfer ? ELEMENTSOF(signals) : 1); i++) {
                struct sigaction before, action = { .sa_handler = on_interrupt };

                /* nohup(1), and shells of what they run in the background, have some ignored. */
                if (sigaction(signals[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
                        (void)sigaction(signals[i], &action, NULL);
        }
}

void interrupts_unlink(const char *path) {
        interrupt_path = path;
}

typedef struct Job {
        Ctl *ctl;
        const char *path, *owner; /* of the reply */
        json_object *properties;
        bool ended, gone;
        int r; /* of what was heard */
} Job;

static void job_clear(Job *job) {
        json_object_put(TAKE(job->properties));
}

static bool job_has_ended(json_object *properties) {
        const char *state = object_string(properties, "state");

        return !state || (!streq(state, "queued") && !streq(state, "running"));
}

/* What is new replaces what was. */
static int properties_update(json_object *properties, json_object *news) {
        int r = 0;

        if (!json_object_is_type(news, json_type_object))
                return -EBADMSG;

        json_object_object_foreach(news, key, value) {
                if (r >= 0)
                        r = object_add(properties, key, json_object_get(value));
        }

        return r;
}

static int on_changed(sd_bus_message *m, Job *job) {
        _cleanup_(json_object_putp) json_object *news = NULL;
        const char *interface;
        int r;

        r = sd_bus_message_read(m, "s", &interface);
        if (r >= 0 && !streq(interface, BUS_JOB))
                return 0;
        if (r >= 0)
                r = reply_read_value(m, &news);

        return r < 0 ? r : properties_update(job->properties, news);
}

static int on_finished(sd_bus_message *m, Job *job) {
        static const char *const keys[] = { "state", "result", "error", "error_message" };
        int r = 0;

        if (!sd_bus_message_has_signature(m, "sa{sv}ss"))
                return -EBADMSG;

        for (size_t i = 0; i < ELEMENTSOF(keys) && r >= 0; i++) {
                json_object *value = NULL;

                r = reply_read_value(m, &value);
                if (r >= 0)
                        r = object_add(job->properties, keys[i], value);
        }

        job->ended = true;
        return r;
}

static int on_signal(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Job *job = userdata;
        int r = 0;

        if (!job->properties || job->ended)
                return 0; /* it is going to be asked, or was */

        if (sd_bus_message_is_signal(m, PROPERTIES, "PropertiesChanged") > 0)
                r = on_changed(m, job);
        else if (sd_bus_message_is_signal(m, BUS_JOB, "Finished") > 0)
                r = on_finished(m, job);
        if (r < 0 && job->r >= 0)
                job->r = r;

        return 0;
}

static int on_owner(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Job *job = userdata;

        job->gone = true;
        return 0;
}

static int job_listen(Job *job, sd_bus_slot **ret_signals, sd_bus_slot **ret_owner) {
        _cleanup_(freep) char *signals = NULL, *owner = NULL;
        int r;

        if (asprintf(&signals, "type='signal',sender='%s',path='%s'", job->owner, job->path) < 0) {
                signals = NULL;
                return -ENOMEM;
        }
        if (asprintf(&owner,
                     "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',"
                     "member='NameOwnerChanged',arg0='%s'",
                     job->owner) < 0) {
                owner = NULL;
                return -ENOMEM;
        }

        r = sd_bus_add_match(job->ctl->bus, ret_signals, signals, on_signal, job);
        return r < 0 ? r : sd_bus_add_match(job->ctl->bus, ret_owner, owner, on_owner, job);
}

static Status job_read(Job *job) {
        const BusMethod get_all = { job->owner, job->path, PROPERTIES, "GetAll", true };
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        Status status;
        int r;

        status = bus_try(job->ctl, &get_all, "a{sv}", &error, &reply, "s", BUS_JOB);
        if (sd_bus_error_is_set(&error))
                return bus_error_report(job->ctl, &error);
        if (status != STATUS_DONE)
                return status;

        r = reply_read_value(reply, &job->properties);
        if (r < 0)
                return ctl_error(STATUS_FAILED, "Cannot read the properties of %s: %s.", job->path, strerror(-r));

        job->ended = job_has_ended(job->properties);
        return STATUS_DONE;
}

/* One's own job needs no leave; what comes of it is told by the job's end. */
static void job_cancel(Job *job) {
        const BusMethod cancel = { job->owner, job->path, BUS_JOB, "Cancel", true };
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;

        (void)bus_try(job->ctl, &cancel, "", &error, /* ret_reply= */ NULL, "a{sv}", 0);
}

static Status job_lose(const Job *job, int r) {
        if (job->gone)
                return ctl_error(STATUS_UNREACHABLE, "mdevgpud has gone: nobody can say what came of it.");

        return ctl_error(STATUS_UNREACHABLE, "The bus is gone, or what it says makes no sense: %s.", strerror(-r));
}

static Status job_wait_for_end(Job *job) {
        Progress progress = {};
        bool cancelled = false;
        int r;

        while (!job->ended) {
                r = sd_bus_process(job->ctl->bus, NULL);
                if (r >= 0 && job->r < 0)
                        r = job->r;
                if (r < 0 || job->gone) {
                        progress_clear(&progress);
                        return job_lose(job, r);
                }
                if (r > 0)
                        continue;

                if (interrupted && !cancelled) {
                        cancelled = true;
                        job_cancel(job);
                        continue;
                }
                progress_show(job->ctl, job->properties, cancelled, &progress);
                (void)sd_bus_wait(job->ctl->bus, LOOK_USEC); /* if the bus is gone, the next round says so */
        }

        progress_clear(&progress);
        return STATUS_DONE;
}

Status job_path(sd_bus_message *reply, const char **ret) {
        int r;

        r = sd_bus_message_rewind(reply, true);
        if (r >= 0)
                r = sd_bus_message_read(reply, "o", ret);
        return r < 0 ? ctl_error(STATUS_FAILED, "Cannot read which job it is: %s.", strerror(-r)) : STATUS_DONE;
}

static Status job_judge(const Job *job) {
        const char *state = object_string(job->properties, "state"), *name = object_string(job->properties, "error");
        const char *about = job->ctl->about, *message = object_string(job->properties, "error_message");
        _cleanup_(freep) char *text = NULL;

        if (!isempty(name)) {
                if (about && state && streq(state, "failed") &&
                    asprintf(&text, "%s: %s", about, isempty(message) ? name : message) < 0) {
                        text = NULL;
                        return ctl_oom();
                }
                return bus_error_report(job->ctl, &SD_BUS_ERROR_MAKE_CONST(name, text ? text : message));
        }
        if (!state || !streq(state, "done"))
                return ctl_error(STATUS_FAILED, "The job has not been done, for no reason that is told.");

        return STATUS_DONE;
}

Status job_follow(Ctl *ctl, sd_bus_message *reply, json_object **ret) {
        _cleanup_(sd_bus_slot_unrefp) sd_bus_slot *signals = NULL, *owner = NULL;
        _cleanup_(job_clear) Job job = { .ctl = ctl, .owner = sd_bus_message_get_sender(reply) };
        Status status;
        int r;

        *ret = NULL;
        if (!job.owner)
                job.owner = BUS_NAME;
        status = job_path(reply, &job.path);
        if (status != STATUS_DONE)
                return status;

        r = job_listen(&job, &signals, &owner);
        if (r < 0)
                return ctl_error(STATUS_FAILED, "Cannot listen to the bus: %s.", strerror(-r));

        status = job_read(&job);
        if (status == STATUS_DONE)
                status = job_wait_for_end(&job);
        if (status != STATUS_DONE)
                return status;

        status = job_judge(&job);
        *ret = TAKE(job.properties);
        return status;
}
