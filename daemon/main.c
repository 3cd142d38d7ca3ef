/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * mdevgpud: the daemon on this machine.
 */

#include <fcntl.h>
#include <getopt.h>
#include <sys/stat.h>

#include "config.h"
#include "daemon.h"
#include "monitor.h"
#include "util/file.h"
#include "util/log.h"

#define RUNTIME_DIRECTORY "/run/mdevgpud"
#define STATE_DIRECTORY "/var/lib/mdevgpud"

static void on_uevent(const Uevent *uevent, void *userdata) {
        Daemon **daemon = userdata;

        daemon_handle_uevent(*daemon, uevent);
}

static void on_overrun(void *userdata) {
        Daemon **daemon = userdata;

        daemon_handle_overrun(*daemon);
}

static const MonitorOps monitor_ops = {
        .uevent = on_uevent,
        .overrun = on_overrun,
};

/* systemd makes these (RuntimeDirectory=, StateDirectory=); who starts the daemon by hand gets the same. */
static int open_state(void) {
        if (mkdir(RUNTIME_DIRECTORY, 0755) < 0 && errno != EEXIST)
                return negative_errno();
        if (mkdir(RUNTIME_DIRECTORY "/state", 0700) < 0 && errno != EEXIST)
                return negative_errno();
        /* On a file system that cannot be written to nothing can be defined, and everything else goes on. */
        if (mkdir(STATE_DIRECTORY, 0700) < 0 && errno != EEXIST)
                log_warning("Cannot make " STATE_DIRECTORY ": %s", strerror(errno));

        return directory_open(AT_FDCWD, RUNTIME_DIRECTORY "/state");
}

static int run_daemon(sd_event *event, sd_bus *bus, const Host *host, int state_fd) {
        static const char *const worker_command[] = { WORKER_PATH, NULL };
        _cleanup_(monitor_freep) Monitor *monitor = NULL;
        _cleanup_(daemon_freep) Daemon *daemon = NULL;
        DaemonParameters parameters = {
                .event = event,
                .bus = bus,
                .host = host,
                .worker_command = worker_command,
                .config_root = "",
                .state_fd = state_fd,
        };
        int r;

        /* Subscribed before anything is enumerated: nothing falls between. */
        r = monitor_new(event, &monitor_ops, &daemon, &monitor);
        if (r < 0) {
                log_error("Cannot listen to udev: %s", strerror(-r));
                return r;
        }

        parameters.name_lookup = monitor_lookup_names;
        parameters.name_lookup_userdata = monitor;
        r = daemon_new(&parameters, &daemon);
        if (r < 0) {
                log_error("Cannot start: %s", strerror(-r));
                return r;
        }

        r = daemon_start(daemon);
        if (r == -EEXIST)
                log_error("Another mdevgpud owns org.mdevgpu1; leaving");
        if (r < 0)
                return r;

        return sd_event_loop(event);
}

static int setup(sd_event **ret_event, sd_bus **ret_bus) {
        int r;

        r = daemon_block_signals();
        if (r < 0)
                return r;

        r = sd_event_default(ret_event);
        if (r >= 0)
                r = sd_event_set_watchdog(*ret_event, true);
        if (r < 0)
                return r;

        r = sd_bus_open_system(ret_bus);
        if (r < 0)
                log_error("Cannot connect to the system bus: %s", strerror(-r));
        return r;
}

static int run(void) {
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_(fd_closep) int state_fd = -EBADF;
        Host host;
        int r;

        r = setup(&event, &bus);
        if (r < 0)
                return r;

        state_fd = open_state();
        if (state_fd < 0) {
                log_error("Cannot open " RUNTIME_DIRECTORY "/state: %s", strerror(-state_fd));
                return state_fd;
        }

        r = host_open(&host);
        if (r < 0) {
                log_error("Cannot open /sys, /dev and /proc: %s", strerror(-r));
                return r;
        }

        r = run_daemon(event, bus, &host, state_fd);
        host_close(&host);
        return r;
}

static int check_config(const char *root) {
        _cleanup_(topology_set_freep) TopologySet *topologies = NULL;
        _cleanup_(profile_set_freep) ProfileSet *set = NULL;
        _cleanup_(settings_freep) Settings *settings = NULL;
        ConfigReport report = {};
        int r;

        r = config_load_all(root, &set, &topologies, &settings, &report);
        config_report_print(&report, stdout);
        config_report_done(&report);
        if (r < 0 && r != -EBADMSG)
                fprintf(stderr, "mdevgpud: the configuration cannot be read: %s\n", strerror(-r));
        if (r >= 0 && set->n_profiles == 0)
                fprintf(stderr,
                        "mdevgpud: there is no profile in types.d below %s/etc/mdevgpud, %s/run/mdevgpud or "
                        "%s/usr/lib/mdevgpud\n",
                        root, root, root);

        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int usage(FILE *stream) {
        fprintf(stream, "mdevgpud [OPTION…]\n"
                        "\n"
                        "Makes vGPUs an ordinary part of this host. Started by systemd; see mdevgpud(8).\n"
                        "\n"
                        "     --check-config [ROOT]  Say what is wrong with the configuration (ROOT/etc/mdevgpud\n"
                        "                            and so on), and exit\n"
                        "     --debug                Log everything\n"
                        "  -h --help                 Show this\n"
                        "     --version              Show the version\n");
        return stream == stdout ? EXIT_SUCCESS : 2;
}

int main(int argc, char **argv) {
        enum {
                OPTION_CHECK = 0x100,
                OPTION_DEBUG,
                OPTION_VERSION
        };
        static const struct option options[] = {
                { "check-config", no_argument, NULL, OPTION_CHECK },
                { "debug", no_argument, NULL, OPTION_DEBUG },
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, OPTION_VERSION },
                {},
        };
        bool check = false;
        int level = LOG_INFO, c;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case OPTION_CHECK:
                        check = true;
                        break;
                case OPTION_DEBUG:
                        level = LOG_DEBUG;
                        break;
                case OPTION_VERSION:
                        printf("mdevgpud %s\n", PROJECT_VERSION);
                        return EXIT_SUCCESS;
                case 'h':
                        return usage(stdout);
                default:
                        return usage(stderr);
                }

        if (argc - optind > (check ? 1 : 0))
                return usage(stderr);

        log_setup("mdevgpud", level, log_to_journal);
        if (check)
                return check_config(optind < argc ? argv[optind] : "");

        return run() < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
