/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * mdevgpud-sim: the daemon over a simulated machine, on a private bus: to try it, to write clients against it and to
 * test it. Never installed as a service.
 *
 * It is also its own workers, and plays the parts of others on the machine: who plugs a card or makes a vGPU by sysfs.
 */

#include <fcntl.h>
#include <getopt.h>
#include <sys/epoll.h>
#include <sys/stat.h>

#include "daemon.h"
#include "sim/sim-host.h"
#include "util/file.h"
#include "util/log.h"
#include "util/text.h"
#include "worker/worker.h"

/* 40 GiB, as the open shim's reference module has; 24 ports, as mtty has. */
#define SHIM_FRAMEBUFFER (UINT64_C(40) << 30)
#define MTTY_PORTS 24U
#define SRIOV_VFS 4U
#define NVIDIA_PLACES 4U

typedef struct Sim {
        SimHost host;
        Daemon *daemon;
        int events_fd;
        char program[4096]; /* this one: its own worker */
} Sim;

static int on_events(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Sim *sim = userdata;
        char buffer[2048];
        Uevent uevent;

        while (sim_host_receive(fd, buffer, sizeof(buffer), &uevent) > 0)
                daemon_handle_uevent(sim->daemon, &uevent);
        if (sim_host_overrun(&sim->host))
                daemon_handle_overrun(sim->daemon);
        return 0;
}

static int open_state(const SimHost *host) {
        if (mkdirat(host->root_fd, "state", 0700) < 0 && errno != EEXIST)
                return negative_errno();

        return directory_open(host->root_fd, "state");
}

static int open_bus(const char *address, sd_bus **ret_bus) {
        _cleanup_(sd_bus_unrefp) sd_bus *bus = NULL;
        int r;

        r = sd_bus_new(&bus);
        if (r >= 0)
                r = sd_bus_set_address(bus, address);
        if (r >= 0)
                r = sd_bus_set_bus_client(bus, true);
        if (r >= 0)
                r = sd_bus_start(bus);
        if (r < 0) {
                log_error("Cannot connect to the bus at %s: %s", address, strerror(-r));
                return r;
        }

        *ret_bus = TAKE(bus);
        return 0;
}

static int run_daemon(Sim *sim, sd_bus *bus, bool without_polkit) {
        const char *const worker_command[] = { sim->program, "--worker", sim->host.root, NULL };
        _cleanup_(sd_event_source_unrefp) sd_event_source *events = NULL;
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        _cleanup_(fd_closep) int state_fd = -EBADF;
        DaemonParameters parameters = {
                .bus = bus,
                .host = &sim->host.host,
                .worker_command = worker_command,
                .config_root = sim->host.root,
                .without_polkit = without_polkit,
        };
        int r;

        r = parameters.state_fd = state_fd = open_state(&sim->host);
        if (r < 0)
                return r;

        r = sd_event_default(&event);
        if (r >= 0)
                r = sd_event_add_io(event, &events, sim->events_fd, EPOLLIN, on_events, sim);
        parameters.event = event;
        if (r >= 0)
                r = daemon_new(&parameters, &sim->daemon);
        if (r >= 0)
                r = daemon_start(sim->daemon);
        if (r == -EEXIST)
                log_error("Another daemon owns org.mdevgpu1; leaving");
        if (r >= 0)
                r = sd_event_loop(event);

        sim->daemon = daemon_free(sim->daemon);
        return r;
}

static int serve(Sim *sim, const char *address, bool without_polkit) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_(fd_closep) int events_fd = -EBADF;
        int r;

        r = daemon_block_signals();
        if (r < 0)
                return r;

        if (readlink("/proc/self/exe", sim->program, sizeof(sim->program) - 1) < 0)
                return negative_errno();

        r = open_bus(address, &bus);
        if (r < 0)
                return r;

        r = sim->events_fd = events_fd = sim_host_listen(&sim->host);
        return r < 0 ? r : run_daemon(sim, bus, without_polkit);
}

static int sysfs_write(const SimHost *host, const char *path, const char *text) {
        return host->host.ops->store(&host->host, host->host.sys_fd, path, text);
}

/* mdev-create PARENT TYPE UUID, as `echo UUID > …/create` does. */
static int mdev_create(SimHost *host, char **arguments) {
        char path[512];

        (void)snprintf(path, sizeof(path), "class/mdev_bus/%.64s/mdev_supported_types/%.64s/create", arguments[0],
                       arguments[1]);
        return sysfs_write(host, path, arguments[2]);
}

static int mdev_remove(SimHost *host, char **arguments) {
        char path[512];

        /* Nor can the kernel be interrupted in it. */
        if (daemon_block_signals() < 0)
                return negative_errno();

        (void)snprintf(path, sizeof(path), "bus/mdev/devices/%.64s/remove", arguments[0]);
        return sysfs_write(host, path, "1");
}

static int plug(SimHost *host, char **arguments) {
        return sim_host_plug(host, arguments[0], SIM_GPU_SHIM, SHIM_FRAMEBUFFER);
}

static int plug_mtty(SimHost *host, char **arguments) {
        return sim_host_plug(host, arguments[0], SIM_GPU_MTTY, MTTY_PORTS);
}

static int plug_card(SimHost *host, char **arguments) {
        return sim_host_plug(host, arguments[0], SIM_GPU_PLAIN, 0);
}

static int plug_sriov(SimHost *host, char **arguments) {
        return sim_host_plug(host, arguments[0], SIM_GPU_SRIOV, SRIOV_VFS);
}

static int plug_nvidia(SimHost *host, char **arguments) {
        return sim_host_plug(host, arguments[0], SIM_GPU_NVIDIA_VFIO, NVIDIA_PLACES);
}

static int plug_gim(SimHost *host, char **arguments) {
        return sim_host_plug(host, arguments[0], SIM_GPU_GIM, SRIOV_VFS);
}

static int plug_nvidia_mdev(SimHost *host, char **arguments) {
        return sim_host_plug(host, arguments[0], SIM_GPU_NVIDIA_MDEV, SRIOV_VFS);
}

static int plug_xe(SimHost *host, char **arguments) {
        return sim_host_plug(host, arguments[0], SIM_GPU_XE, SRIOV_VFS);
}

/* set-vfs GPU N, as `echo N > …/sriov_numvfs` does. */
static int set_vfs(SimHost *host, char **arguments) {
        char path[512];

        const char *const command[] = { "/usr/lib/nvidia/sriov-manage", streq(arguments[1], "0") ? "-d" : "-e",
                                        arguments[0], NULL };
        int r;

        (void)snprintf(path, sizeof(path), "bus/pci/devices/%.64s/sriov_numvfs", arguments[0]);
        r = sysfs_write(host, path, arguments[1]);
        return r == -EPERM ? host->host.ops->run(&host->host, command) : r;
}

/* A card's driver is unloaded, or loaded again. */
static int unbind(SimHost *host, char **arguments) {
        char path[512];

        (void)snprintf(path, sizeof(path), "bus/pci/devices/%.64s/driver/unbind", arguments[0]);
        return sysfs_write(host, path, arguments[0]);
}

static int bind(SimHost *host, char **arguments) {
        return sysfs_write(host, "bus/pci/drivers_probe", arguments[0]);
}

static int set_number(SimHost *host, const char *text, int (*set)(SimHost *host, uint64_t value)) {
        unsigned long long value;
        char *end;

        errno = 0;
        value = strtoull(text, &end, 10);
        if (errno != 0 || end == text || *end != '\0' || *text == '-')
                return -EINVAL;

        return set(host, value);
}

static int set_content_size(SimHost *host, char **arguments) {
        return set_number(host, arguments[0], sim_host_set_content_size);
}

static int set_state_rate(SimHost *host, char **arguments) {
        return set_number(host, arguments[0], sim_host_set_state_rate);
}

static int unplug(SimHost *host, char **arguments) {
        return sim_host_unplug(host, arguments[0]);
}

static int act(SimHost *host, int n, char **arguments) {
        static const struct {
                const char *verb;
                int n_arguments;
                int (*act)(SimHost *host, char **arguments);
        } table[] = {
                { "plug", 1, plug },
                { "plug-mtty", 1, plug_mtty },
                { "plug-card", 1, plug_card },
                { "plug-sriov", 1, plug_sriov },
                { "plug-nvidia", 1, plug_nvidia },
                { "plug-nvidia-mdev", 1, plug_nvidia_mdev },
                { "plug-xe", 1, plug_xe },
                { "plug-gim", 1, plug_gim },
                { "set-vfs", 2, set_vfs },
                { "unbind", 1, unbind },
                { "bind", 1, bind },
                { "unplug", 1, unplug },
                { "content-size", 1, set_content_size },
                { "state-rate", 1, set_state_rate },
                { "mdev-create", 3, mdev_create },
                { "mdev-remove", 1, mdev_remove },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                if (streq(table[i].verb, arguments[0]) && table[i].n_arguments == n - 1) {
                        int r = table[i].act(host, arguments + 1);

                        if (r < 0)
                                fprintf(stderr, "mdevgpud-sim: %s: %s\n", arguments[0], strerror(-r));
                        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
                }

        fprintf(stderr, "mdevgpud-sim: '%s' is no action, or its arguments are not right; see --help\n", arguments[0]);
        return 2;
}

static int usage(FILE *stream) {
        fprintf(stream,
                "mdevgpud-sim --root DIR --address ADDRESS [--without-polkit]\n"
                "mdevgpud-sim --root DIR ACTION\n"
                "\n"
                "Runs the daemon over a simulated machine in DIR, on the bus at ADDRESS; its configuration is in\n"
                "DIR/etc/mdevgpud. Or does to the machine what others would, whether the daemon runs or not:\n"
                "\n"
                "     plug GPU                       A card (as 0000:41:00.0) with the open shim's driver appears\n"
                "     plug-mtty NAME                 A parent with types of its own, on no PCI bus, appears\n"
                "     plug-card GPU                  A display controller whose driver knows no vGPUs appears\n"
                "     plug-sriov GPU                 One with virtual functions appears\n"
                "     plug-nvidia GPU                One with NVIDIA's vendor-specific VFIO appears\n"
                "     plug-nvidia-mdev GPU           One of NVIDIA's whose functions are mdev parents\n"
                "     plug-xe GPU                    One of Intel's that xe drives appears\n"
                "     plug-gim GPU                   One of AMD's that GIM drives appears\n"
                "     set-vfs GPU N                  Somebody enables virtual functions through sysfs\n"
                "     unbind GPU                     Its driver leaves it; and its virtual functions go\n"
                "     bind GPU                       Its driver takes it again\n"
                "     unplug GPU                     It disappears, with its vGPUs\n"
                "     mdev-create PARENT TYPE UUID   Somebody makes a vGPU through sysfs\n"
                "     mdev-remove UUID               Somebody removes one; waits for whoever holds it\n"
                "     content-size BYTES             What each vGPU holds that is made from now on (8388608); it is the file\n"
                "                                    DIR/content/UUID, for anybody to fill and to compare\n"
                "     state-rate BYTES               So many bytes of a state a second drivers give and take (0: any)\n"
                "\n"
                "     --without-polkit  Only root and the user who runs it may change anything; for a private bus\n"
                "     --debug           Log everything\n"
                "  -h --help            Show this\n"
                "     --version         Show the version\n");
        return stream == stdout ? EXIT_SUCCESS : 2;
}

/* --worker ROOT GPU: what the daemon starts. */
static int run_worker(char **arguments) {
        static SimHost host;
        int r;

        log_setup("mdevgpud-sim-worker", LOG_INFO, NULL);
        r = sim_host_open(arguments[0], &host);
        if (r >= 0)
                r = worker_serve(STDIN_FILENO, &host.host, arguments[1]);
        if (r < 0)
                log_error("Worker for %s failed: %s", arguments[1], strerror(-r));

        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

typedef struct Options {
        const char *root;
        const char *address;
        bool without_polkit;
        int level;
} Options;

/* 0: go on with what is left; else the exit status to leave with, plus one. */
static int parse_options(int argc, char **argv, Options *o) {
        enum {
                OPTION_ROOT = 0x100,
                OPTION_ADDRESS,
                OPTION_POLKIT,
                OPTION_DEBUG,
                OPTION_VERSION
        };
        static const struct option options[] = {
                { "root", required_argument, NULL, OPTION_ROOT },
                { "address", required_argument, NULL, OPTION_ADDRESS },
                { "without-polkit", no_argument, NULL, OPTION_POLKIT },
                { "debug", no_argument, NULL, OPTION_DEBUG },
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, OPTION_VERSION },
                {},
        };
        int c;

        while ((c = getopt_long(argc, argv, "+h", options, NULL)) >= 0)
                switch (c) {
                case OPTION_ROOT:
                        o->root = optarg;
                        break;
                case OPTION_ADDRESS:
                        o->address = optarg;
                        break;
                case OPTION_POLKIT:
                        o->without_polkit = true;
                        break;
                case OPTION_DEBUG:
                        o->level = LOG_DEBUG;
                        break;
                case OPTION_VERSION:
                        printf("mdevgpud-sim %s\n", PROJECT_VERSION);
                        return EXIT_SUCCESS + 1;
                case 'h':
                        return usage(stdout) + 1;
                default:
                        return usage(stderr) + 1;
                }

        if (!o->root || (optind == argc) != !!o->address)
                return usage(stderr) + 1;
        return 0;
}

int main(int argc, char **argv) {
        Options options = { .level = LOG_INFO };
        static Sim sim;
        int r;

        if (argc == 4 && streq(argv[1], "--worker"))
                return run_worker(argv + 2);

        r = parse_options(argc, argv, &options);
        if (r > 0)
                return r - 1;

        log_setup("mdevgpud-sim", options.level, log_to_journal);
        r = sim_host_open(options.root, &sim.host);
        if (r < 0) {
                log_error("Cannot use the machine in %s: %s", options.root, strerror(-r));
                return EXIT_FAILURE;
        }

        if (optind < argc)
                return act(&sim.host, argc - optind, argv + optind);

        r = serve(&sim, options.address, options.without_polkit);
        sim_host_close(&sim.host);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
