/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>
#include <signal.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#include "bus/bus.h"
#include "config.h"
#include "core/topology-auto.h"
#include "daemon.h"
#include "util/log.h"
#include "util/message-ids.h"
#include "worker/supervisor.h"

/* READY comes when all present hardware was read, or after this: who waits for us must not wait for a stuck driver. */
#define READY_TIMEOUT_USEC UINT64_C(5000000)

/* A configuration is read for every CheckConfig() where that is quick; else it may take one part in so many of the time. */
#define CHECK_QUICK_USEC UINT64_C(10000)
#define CHECK_SHARE 10U

/* A person reads STATUS=, and who makes a hundred vGPUs does not wait for it a hundred times. */
#define STATUS_USEC UINT64_C(500000)

struct Daemon {
        sd_event *event;
        Supervisor *supervisor;
        BusServer *server;
        Manager *manager;
        char *config_root;
        ConfigReport report; /* of the last reading of the configuration */
        ConfigReport checked; /* of the last that only looked */
        uint64_t checked_until_usec; /* until then it is what is told */
        bool ready;
        bool started;
        bool pruned; /* records of what is no more are gone */
        sd_event_source *ready_timeout;
        sd_event_source *post;
        sd_event_source *status; /* a timer: STATUS= is to be said */
        sd_event_source *signals[3];
        size_t n_gpus; /* as STATUS= says */
        size_t n_vgpus;
};

static void log_problems(const ConfigReport *report) {
        for (size_t i = 0; i < report->n_problems; i++) {
                const ConfigProblem *p = &report->problems[i];

                int level = p->severity == PROBLEM_ERROR ? LOG_ERR : LOG_WARNING;
                const char *severity = problem_severity_to_string(p->severity);

                if (p->line > 0)
                        log_full(level, LOG_FIELDS("MDEVGPU_FILE", p->file), "%s:%u:%u: %s: %s", p->file, p->line,
                                 p->column, severity, p->message);
                else
                        log_full(level, LOG_FIELDS("MDEVGPU_FILE", p->file), "%s: %s: %s", p->file, severity,
                                 p->message);
        }
}

/* Nobody may take more than is allowed to him because a profile has a mistake in it: limits and rules do not wait for that. */
static void daemon_take_settings(Daemon *d, Settings *settings) {
        if (settings) {
                manager_set_settings(d->manager, settings);
                log_notice("Of the configuration mdevgpud.yaml alone is in force, with its limits and rules");
        } else
                log_error("No mdevgpud.yaml is in force: until it is right only root may have vGPUs made");
}

/* Puts a good configuration in force; a bad one leaves the last good one there, or where there is none takes the settings. */
static int daemon_load_config(Daemon *d) {
        ConfigReport report = {};
        _cleanup_(settings_freep) Settings *settings = NULL;
        TopologySet *topologies;
        ProfileSet *profiles;
        int r;

        r = config_load_all(d->config_root, &profiles, &topologies, &settings, &report);
        log_problems(&report);
        config_report_done(&d->report);
        d->report = report;
        if (r == -EBADMSG)
                log_full(LOG_ERR, LOG_FIELDS("MESSAGE_ID", MESSAGE_CONFIG_REFUSED),
                         "The configuration has %zu errors and is not in force", report.n_errors);
        if (r == -EBADMSG && !d->manager->settings)
                daemon_take_settings(d, TAKE(settings));
        if (r < 0)
                return r == -EBADMSG ? -ERROR_CONFIG_INVALID : r;

        manager_set_settings(d->manager, TAKE(settings));
        manager_set_topologies(d->manager, topologies);
        manager_set_profiles(d->manager, profiles);
        return 0;
}

static uint64_t monotonic_usec(void) {
        struct timespec ts;

        (void)clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t)ts.tv_sec * 1000000U + (uint64_t)ts.tv_nsec / 1000U;
}

static const char *what_stays(const Daemon *d) {
        if (d->manager->profiles)
                return "the last good one stays in force";
        return d->manager->settings ? "as none of before was good, mdevgpud.yaml alone is in force"
                                    : "as none of before was good, nothing is in force";
}

static int on_reload(Error *error, void *userdata) {
        Daemon *d = userdata;
        int r;

        /* A signal can come before READY, which means more than that the configuration was read. */
        if (d->ready)
                (void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, monotonic_usec());
        r = daemon_load_config(d);
        if (r == -ERROR_CONFIG_INVALID)
                (void)error_set(error, r, "the configuration has %zu errors; %s", d->report.n_errors, what_stays(d));
        else if (r < 0)
                (void)error_set_errno(error, r, "the configuration cannot be read");
        if (d->ready)
                (void)sd_notify(0, "READY=1");

        return r;
}

static uint64_t now_usec(void) {
        struct timespec ts;

        (void)clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t)ts.tv_sec * 1000000U + (uint64_t)ts.tv_nsec / 1000U;
}

/* Everybody may ask. The largest configuration takes a tenth of a second to read, and the loop is others' as well. */
static int on_check_config(const ConfigReport **ret_report, void *userdata) {
        _cleanup_(topology_set_freep) TopologySet *topologies = NULL;
        _cleanup_(profile_set_freep) ProfileSet *profiles = NULL;
        _cleanup_(settings_freep) Settings *settings = NULL;
        uint64_t begin = now_usec(), end;
        ConfigReport report = {};
        Daemon *d = userdata;
        int r;

        if (begin >= d->checked_until_usec) {
                r = config_load_all(d->config_root, &profiles, &topologies, &settings, &report);
                if (r < 0 && r != -EBADMSG) {
                        config_report_done(&report);
                        return r;
                }

                config_report_done(&d->checked);
                d->checked = report;
                end = now_usec();
                if (end - begin >= CHECK_QUICK_USEC)
                        d->checked_until_usec = end + CHECK_SHARE * (end - begin);
        }

        *ret_report = &d->checked;
        return 0;
}

static const ConfigReport *on_config_report(void *userdata) {
        Daemon *d = userdata;

        return &d->report;
}

static const BusCallbacks bus_callbacks = {
        .reload = on_reload,
        .check_config = on_check_config,
        .config_report = on_config_report,
};

static int daemon_setup(Daemon *d, const DaemonParameters *parameters) {
        const SupervisorParameters supervisor_parameters = {
                .event = parameters->event,
                .command = parameters->worker_command,
        };
        const BusParameters bus_parameters = {
                .event = parameters->event,
                .bus = parameters->bus,
                .callbacks = &bus_callbacks,
                .userdata = d,
                .version = PROJECT_VERSION,
                .without_polkit = parameters->without_polkit,
        };
        ManagerParameters manager_parameters = {
                .event = parameters->event,
                .host = parameters->host,
                .state_fd = parameters->state_fd,
                .name_lookup = parameters->name_lookup,
                .name_lookup_userdata = parameters->name_lookup_userdata,
        };
        int r;

        r = supervisor_new(&supervisor_parameters, &d->supervisor);
        if (r < 0)
                return r;
        r = bus_server_new(&bus_parameters, &d->server);
        if (r < 0)
                return r;

        manager_parameters.platform = supervisor_get_platform(d->supervisor);
        manager_parameters.observer = bus_server_observer(d->server);
        r = manager_new(&manager_parameters, &d->manager);
        if (r < 0)
                return r;

        bus_server_attach(d->server, d->manager);
        return 0;
}

int daemon_new(const DaemonParameters *parameters, Daemon **ret_daemon) {
        _cleanup_(daemon_freep) Daemon *d = NULL;
        int r;

        d = calloc(1, sizeof(Daemon));
        if (!d)
                return -ENOMEM;

        d->event = sd_event_ref(parameters->event);
        d->config_root = strdup(parameters->config_root);
        if (!d->config_root)
                return -ENOMEM;

        r = daemon_setup(d, parameters);
        if (r < 0)
                return r;

        *ret_daemon = TAKE(d);
        return 0;
}

Daemon *daemon_free(Daemon *d) {
        if (!d)
                return NULL;

        for (size_t i = 0; i < ELEMENTSOF(d->signals); i++)
                sd_event_source_disable_unref(d->signals[i]);
        sd_event_source_disable_unref(d->ready_timeout);
        sd_event_source_disable_unref(d->post);
        sd_event_source_disable_unref(d->status);
        if (d->server)
                bus_server_detach(d->server);
        manager_free(d->manager);
        bus_server_free(d->server);
        supervisor_free(d->supervisor);
        config_report_done(&d->report);
        config_report_done(&d->checked);
        free(d->config_root);
        sd_event_unref(d->event);
        free(d);
        return NULL;
}

static void notify_status(Daemon *d, const char *state) {
        d->n_gpus = d->manager->gpus_by_address.n;
        d->n_vgpus = d->manager->vgpus.n;
        (void)sd_notifyf(0, "%sSTATUS=%zu GPUs, %zu vGPUs", state, d->n_gpus, d->n_vgpus);
}

static int on_status(sd_event_source *source, uint64_t usec, void *userdata) {
        Daemon *d = userdata;

        d->status = sd_event_source_disable_unref(d->status);
        if (d->n_gpus != d->manager->gpus_by_address.n || d->n_vgpus != d->manager->vgpus.n)
                notify_status(d, "");
        return 0;
}

static void notify_status_later(Daemon *d) {
        if (!d->status &&
            sd_event_add_time_relative(d->event, &d->status, CLOCK_MONOTONIC, STATUS_USEC, 0, on_status, d) < 0)
                notify_status(d, "");
}

static void become_ready(Daemon *d) {
        d->ready = true;
        d->ready_timeout = sd_event_source_disable_unref(d->ready_timeout);
        bus_server_set_ready(d->server);
        notify_status(d, "READY=1\n");
        log_full(LOG_INFO, LOG_FIELDS("MESSAGE_ID", MESSAGE_READY), "Ready: %zu GPUs, %zu vGPUs", d->n_gpus,
                 d->n_vgpus);
}

/* After every turn of the loop in which something happened. */
static int on_post(sd_event_source *source, void *userdata) {
        Daemon *d = userdata;

        /* Where a GPU takes its time that may be long after READY. */
        if (!d->pruned && manager_is_settled(d->manager))
                d->pruned = manager_prune_records(d->manager);

        if (!d->ready && manager_is_settled(d->manager)) {
                /* Who waits for READY finds what the default topology asks for. */
                topology_auto_begin(d->manager);
                if (!topology_auto_is_pending(d->manager))
                        become_ready(d);
        } else if (d->ready && (d->n_gpus != d->manager->gpus_by_address.n || d->n_vgpus != d->manager->vgpus.n))
                notify_status_later(d);

        return 0;
}

static int on_ready_timeout(sd_event_source *source, uint64_t usec, void *userdata) {
        Daemon *d = userdata;

        topology_auto_begin(d->manager);
        if (!d->ready)
                become_ready(d);
        return 0;
}

static int on_terminate(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        Daemon *d = userdata;

        (void)sd_notify(0, "STOPPING=1");
        return sd_event_exit(d->event, EXIT_SUCCESS);
}

static int on_hangup(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        Daemon *d = userdata;
        Error error = ERROR_NULL;

        if (bus_server_reload(d->server, &error) < 0)
                log_error("Reload failed: %s", error.message);
        else
                log_info("Configuration reloaded");
        return 0;
}

int daemon_block_signals(void) {
        sigset_t mask;

        (void)sigemptyset(&mask);
        (void)sigaddset(&mask, SIGTERM);
        (void)sigaddset(&mask, SIGINT);
        (void)sigaddset(&mask, SIGHUP);
        (void)sigaddset(&mask, SIGCHLD);
        if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
                return negative_errno();

        return 0;
}

static int watch_loop(Daemon *d) {
        int r;

        r = sd_event_add_signal(d->event, &d->signals[0], SIGTERM, on_terminate, d);
        if (r >= 0)
                r = sd_event_add_signal(d->event, &d->signals[1], SIGINT, on_terminate, d);
        if (r >= 0)
                r = sd_event_add_signal(d->event, &d->signals[2], SIGHUP, on_hangup, d);
        if (r >= 0)
                r = sd_event_add_post(d->event, &d->post, on_post, d);
        if (r >= 0)
                r = sd_event_add_time_relative(d->event, &d->ready_timeout, CLOCK_MONOTONIC, READY_TIMEOUT_USEC, 0,
                                               on_ready_timeout, d);
        return r;
}

int daemon_start(Daemon *d) {
        int r;

        r = bus_server_start(d->server);
        if (r == -EEXIST)
                return r;
        if (r < 0) {
                log_error("Cannot offer org.mdevgpu1 on the bus: %s", strerror(-r));
                return r;
        }

        r = daemon_load_config(d);
        if (r == -ENOMEM) {
                log_error("Cannot read the configuration: %s", strerror(ENOMEM));
                return r;
        }

        manager_read_definitions(d->manager);
        r = manager_scan(d->manager);
        if (r < 0) {
                log_error("Cannot enumerate devices: %s", strerror(-r));
                return r;
        }

        d->started = true;
        return watch_loop(d);
}

void daemon_handle_uevent(Daemon *d, const Uevent *uevent) {
        if (d->started)
                manager_handle_uevent(d->manager, uevent);
}

void daemon_handle_overrun(Daemon *d) {
        int r;

        r = manager_scan(d->manager);
        if (r < 0)
                log_error("Cannot enumerate devices: %s", strerror(-r));
}
