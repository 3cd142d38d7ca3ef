/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <glib/gstdio.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

#define DEADLINE_USEC (10 * G_USEC_PER_SEC)

static const char bus_config[] =
        "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\""
        " \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\n"
        "<busconfig>\n"
        "  <type>system</type>\n"
        "  <listen>unix:path=%s/bus</listen>\n"
        "  <auth>EXTERNAL</auth>\n"
        "  <limit name=\"max_connections_per_user\">2000</limit>\n"
        "  <policy context=\"default\">\n"
        "    <allow user=\"*\"/>\n"
        "    <allow own=\"*\"/>\n"
        "    <allow send_destination=\"*\" eavesdrop=\"true\"/>\n"
        "    <allow receive_sender=\"*\"/>\n"
        "  </policy>\n"
        "</busconfig>\n";

/* The one of the test that runs, for when it fails. */
static Harness *current;

/* Only what a signal handler may call: a failed assertion can be anywhere. */
static void on_abort(int signal) {
        static const char *const logs[] = { "dbus.log", "polkit.log", "daemon.log" };
        char path[PATH_MAX], buffer[4096];
        ssize_t n;
        int fd;

        for (size_t i = 0; current && i < G_N_ELEMENTS(logs); i++) {
                (void)stpcpy(stpcpy(stpcpy(path, current->dir), "/"), logs[i]);
                fd = open(path, O_RDONLY | O_CLOEXEC);
                while (fd >= 0 && (n = read(fd, buffer, sizeof(buffer))) > 0)
                        (void)!write(STDERR_FILENO, buffer, (size_t)n);
        }
}

void harness_init(int *argc, char ***argv) {
        const struct sigaction action = { .sa_handler = on_abort, .sa_flags = (int)SA_RESETHAND };

        g_test_init(argc, argv, NULL);
        (void)sigaction(SIGABRT, &action, NULL);
        (void)sigaction(SIGTRAP, &action, NULL);
        if (geteuid() != 0) {
                (void)printf("Bail out! these tests need root: they act as several users\n");
                exit(EXIT_FAILURE);
        }

        (void)umask(022);
}

void harness_write(Harness *h, const char *name, const char *text) {
        g_autofree char *path = g_build_filename(h->dir, name, NULL);
        g_autofree char *folder = g_path_get_dirname(path);

        g_assert_cmpint(g_mkdir_with_parents(folder, 0755), ==, 0);
        g_assert_true(g_file_set_contents(path, text, -1, NULL));
        g_assert_cmpint(chmod(path, 0644), ==, 0);
}

/* Runs in the child: it shall not outlive the test, whatever ends that. */
static void die_with_parent(gpointer userdata) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static GPid spawn(Harness *h, const char *log, char **argv, GSpawnChildSetupFunc setup, void *userdata) {
        g_autofree char *path = g_build_filename(h->dir, log, NULL);
        g_auto(GStrv) environment = g_environ_setenv(g_get_environ(), "DBUS_SYSTEM_BUS_ADDRESS", h->address, TRUE);
        g_autoptr(GError) error = NULL;
        GPid pid;
        int fd;

        fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        g_assert_cmpint(fd, >=, 0);
        g_spawn_async_with_fds(h->dir, argv, environment, G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_SEARCH_PATH, setup,
                               userdata, &pid, -1, fd, fd, &error);
        g_assert_no_error(error);
        (void)close(fd);
        return pid;
}

static void stop(GPid *pid) {
        if (*pid <= 0)
                return;

        (void)kill(*pid, SIGKILL);
        (void)waitpid(*pid, NULL, 0);
        *pid = 0;
}

static int try_connect(Harness *h, uid_t uid, sd_bus **ret_bus) {
        sd_bus *bus;
        int r;

        g_assert_cmpint(sd_bus_new(&bus), >=, 0);
        g_assert_cmpint(sd_bus_set_address(bus, h->address), >=, 0);
        g_assert_cmpint(sd_bus_set_bus_client(bus, true), >=, 0);

        /* The bus takes whoever calls connect() for the user. */
        g_assert_cmpint(seteuid(uid), ==, 0);
        r = sd_bus_start(bus);
        if (r >= 0)
                r = sd_bus_get_unique_name(bus, &(const char *){ NULL });
        g_assert_cmpint(seteuid(0), ==, 0);
        if (r < 0) {
                sd_bus_unref(bus);
                return r;
        }

        *ret_bus = bus;
        return 0;
}

sd_bus *harness_connect(Harness *h, uid_t uid) {
        sd_bus *bus;

        g_assert_cmpint(try_connect(h, uid, &bus), >=, 0);
        return bus;
}

sd_bus *harness_connect_in_group(Harness *h, uid_t uid, gid_t group) {
        gid_t before[256];
        int n = getgroups(G_N_ELEMENTS(before), before);
        sd_bus *bus;

        g_assert_cmpint(n, >=, 0);
        g_assert_cmpint(setgroups(1, &group), ==, 0);
        bus = harness_connect(h, uid);
        g_assert_cmpint(setgroups((size_t)n, before), ==, 0);
        return bus;
}

Harness *harness_new(void) {
        Harness *h = g_new0(Harness, 1);
        g_autofree char *config = NULL, *option = NULL;
        gint64 deadline = g_get_monotonic_time() + DEADLINE_USEC;

        h->dir = g_dir_make_tmp("mdevgpud-bus-XXXXXX", NULL);
        g_assert_nonnull(h->dir);
        /* Clients and polkitd are other users. */
        g_assert_cmpint(chmod(h->dir, 0755), ==, 0);
        h->address = g_strdup_printf("unix:path=%s/bus", h->dir);

        config = g_strdup_printf(bus_config, h->dir);
        harness_write(h, "bus.conf", config);
        option = g_strdup_printf("--config-file=%s/bus.conf", h->dir);
        h->dbus = spawn(h, "dbus.log", (char *[]){ (char *)"dbus-daemon", (char *)"--nofork", option, NULL },
                        die_with_parent, NULL);

        current = h;
        while (try_connect(h, 0, &h->bus) < 0) {
                g_assert_cmpint(g_get_monotonic_time(), <, deadline);
                g_usleep(1000);
        }
        return h;
}

static void remove_dir(const char *dir) {
        const char *argv[] = { "rm", "-rf", "--one-file-system", dir, NULL };

        (void)g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL);
}

/* A daemon that was built with them may have gone on. */
static void check_sanitizers(Harness *h) {
        g_autofree char *path = g_build_filename(h->dir, "daemon.log", NULL), *text = NULL;

        if (!g_file_get_contents(path, &text, NULL, NULL))
                return;

        g_assert_null(strstr(text, "runtime error:"));
        g_assert_null(strstr(text, "Sanitizer"));
}

void harness_free(Harness *h) {
        if (!h)
                return;

        h->bus = sd_bus_flush_close_unref(h->bus);
        if (h->daemon > 0)
                g_assert_cmpint(harness_stop_daemon(h, SIGTERM), ==, 0);
        check_sanitizers(h);
        stop(&h->polkit);
        stop(&h->dbus);
        remove_dir(h->dir);
        current = NULL;
        g_free(h->dir);
        g_free(h->address);
        g_free(h);
}

static bool has_owner(Harness *h, const char *name) {
        sd_bus_message *reply = NULL;
        int r, owned = 0;

        r = sd_bus_call_method(h->bus, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                               "NameHasOwner", NULL, &reply, "s", name);
        g_assert_cmpint(r, >=, 0);
        g_assert_cmpint(sd_bus_message_read(reply, "b", &owned), >=, 0);
        sd_bus_message_unref(reply);
        return owned;
}

void harness_wait_for_name(Harness *h, GPid pid, const char *name) {
        gint64 deadline = g_get_monotonic_time() + DEADLINE_USEC;

        while (!has_owner(h, name)) {
                if (waitpid(pid, NULL, WNOHANG) != 0 || g_get_monotonic_time() > deadline)
                        g_error("%s does not appear on the bus", name);
                g_usleep(2000);
        }
}

static bool bind(const char *dir, const char *name, const char *target) {
        g_autofree char *source = g_build_filename(dir, name, NULL);

        return mount(source, target, NULL, MS_BIND, NULL) == 0;
}

/* Runs in the child: polkitd looks in fixed places, so that it gets a file system of its own. */
static void enter_polkit_files(gpointer userdata) {
        const char *dir = userdata;

        die_with_parent(NULL);
        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
            !bind(dir, "polkit-actions", "/usr/share/polkit-1/actions") ||
            !bind(dir, "polkit-none", "/usr/share/polkit-1/rules.d") ||
            !bind(dir, "polkit-rules", "/etc/polkit-1/rules.d")) {
                (void)dprintf(STDERR_FILENO, "Cannot give polkitd files of its own: %s\n", strerror(errno));
                _exit(EXIT_FAILURE);
        }
}

void harness_start_polkit(Harness *h, const char *rules) {
        const char *argv[] = { "/usr/lib/polkit-1/polkitd", "--no-debug", NULL };
        const char *source = g_getenv("MDEVGPUD_POLICY");
        g_autofree char *policy = NULL;

        g_assert_nonnull(source);
        g_assert_true(g_file_get_contents(source, &policy, NULL, NULL));
        harness_write(h, "polkit-actions/org.mdevgpu1.policy", policy);
        harness_write(h, "polkit-rules/00-test.rules", rules);
        harness_write(h, "polkit-none/empty", "");

        h->polkit = spawn(h, "polkit.log", (char **)argv, enter_polkit_files, h->dir);
        harness_wait_for_name(h, h->polkit, "org.freedesktop.PolicyKit1");
}

static const char small_type[] = "  - {id: 1, name: \"Test/Small\", max-instances: 16, framebuffer: 2GiB, keep-state: yes}\n";
static const char large_type[] = "  - {id: 2, name: \"Test/Large\", max-instances: 1, framebuffer: 40GiB}\n";

static void set_types(Harness *h, const char *machine, bool large) {
        g_autofree char *text = g_strconcat("version: 1\nmatch: {address: \"0000:*\"}\ntypes:\n", small_type,
                                            large ? large_type : "", NULL);
        g_autofree char *name = g_strconcat(machine, "/etc/mdevgpud/types.d/test.yaml", NULL);

        harness_write(h, name, text);
}

void harness_set_types(Harness *h, bool large) {
        set_types(h, "host", large);
}

void harness_break_config(Harness *h) {
        harness_write(h, "host/etc/mdevgpud/types.d/test.yaml",
                      "version: 1\nmatch: {adress: \"*\"}\ntypes: 7\n");
}

static const char *program(void) {
        const char *path = g_getenv("MDEVGPUD_SIM");

        g_assert_nonnull(path);
        return path;
}

static void act(Harness *h, const char *machine, const char *action, va_list ap) {
        g_autoptr(GPtrArray) argv = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(GError) error = NULL;
        const char *argument;
        int status;

        g_ptr_array_add(argv, g_strdup(program()));
        g_ptr_array_add(argv, g_strdup("--root"));
        g_ptr_array_add(argv, g_build_filename(h->dir, machine, NULL));
        g_ptr_array_add(argv, g_strdup(action));
        while ((argument = va_arg(ap, const char *)))
                g_ptr_array_add(argv, g_strdup(argument));
        g_ptr_array_add(argv, NULL);

        (void)g_spawn_sync(NULL, (char **)argv->pdata, NULL, G_SPAWN_DEFAULT, NULL, NULL, NULL, NULL, &status, &error);
        g_assert_no_error(error);
        g_assert_cmpint(status, ==, 0);
}

static void act_on(Harness *h, const char *machine, const char *action, ...) {
        va_list ap;

        va_start(ap, action);
        act(h, machine, action, ap);
        va_end(ap);
}

void harness_act(Harness *h, const char *action, ...) {
        va_list ap;

        va_start(ap, action);
        act(h, "host", action, ap);
        va_end(ap);
}

void harness_prepare_machine(Harness *h, const char *name) {
        g_autofree char *dir = g_build_filename(h->dir, name, NULL);

        g_assert_cmpint(g_mkdir_with_parents(dir, 0755), ==, 0);
        act_on(h, name, "plug", GPU, NULL);
        act_on(h, name, "plug-mtty", OTHER_GPU, NULL);
        set_types(h, name, /* large= */ true);
}

int harness_hold(Harness *h, const char *iommu_group) {
        g_autofree char *path = g_build_filename(h->dir, "host/dev/vfio", iommu_group, NULL);
        int fd;

        fd = open(path, O_RDWR | O_CLOEXEC);
        g_assert_cmpint(fd, >=, 0);
        return fd;
}

static GPid spawn_daemon(Harness *h, const char *root, bool without_polkit) {
        g_autofree char *dir = g_build_filename(h->dir, root, NULL);
        const char *argv[] = { program(), "--root",   dir,
                               "--address", h->address, without_polkit ? "--without-polkit" : NULL,
                               NULL };

        return spawn(h, "daemon.log", (char **)argv, die_with_parent, NULL);
}

void harness_start_daemon(Harness *h, bool without_polkit) {
        g_autofree char *dir = g_build_filename(h->dir, "host", NULL);

        if (!g_file_test(dir, G_FILE_TEST_EXISTS))
                harness_prepare_machine(h, "host");

        h->daemon = spawn_daemon(h, "host", without_polkit);
        harness_wait_for_name(h, h->daemon, BUS_NAME);
}

void harness_start_daemon_on(Harness *h, const char *name) {
        h->daemon = spawn_daemon(h, name, /* without_polkit= */ true);
        harness_wait_for_name(h, h->daemon, BUS_NAME);
}

static int wait_exit(Harness *h, GPid pid) {
        gint64 deadline = g_get_monotonic_time() + DEADLINE_USEC;
        int status;

        while (waitpid(pid, &status, WNOHANG) == 0) {
                if (g_get_monotonic_time() > deadline)
                        g_error("the daemon does not end");
                g_usleep(2000);
        }

        return status;
}

int harness_wait_daemon(Harness *h) {
        GPid pid = h->daemon;

        g_assert_cmpint(pid, >, 0);
        h->daemon = 0;
        return wait_exit(h, pid);
}

int harness_stop_daemon(Harness *h, int signal) {
        g_assert_cmpint(h->daemon, >, 0);
        (void)kill(h->daemon, signal);
        return harness_wait_daemon(h);
}

int harness_run_second_daemon(Harness *h, const char *name) {
        return wait_exit(h, spawn_daemon(h, name, /* without_polkit= */ true));
}

void harness_stop_bus(Harness *h) {
        h->bus = sd_bus_flush_close_unref(h->bus);
        stop(&h->dbus);
}

void harness_wait(sd_bus *bus, bool (*done)(void *userdata), void *userdata) {
        gint64 deadline = g_get_monotonic_time() + DEADLINE_USEC;
        int r;

        while (!done(userdata)) {
                r = sd_bus_process(bus, NULL);
                g_assert_cmpint(r, >=, 0);
                if (r == 0)
                        g_assert_cmpint(sd_bus_wait(bus, 20 * 1000), >=, 0);
                g_assert_cmpint(g_get_monotonic_time(), <, deadline);
        }
}

void harness_pump(sd_bus *bus, unsigned msec) {
        gint64 end = g_get_monotonic_time() + msec * 1000;
        int r;

        while (g_get_monotonic_time() < end) {
                r = sd_bus_process(bus, NULL);
                g_assert_cmpint(r, >=, 0);
                if (r == 0)
                        g_assert_cmpint(sd_bus_wait(bus, 1000), >=, 0);
        }
}
