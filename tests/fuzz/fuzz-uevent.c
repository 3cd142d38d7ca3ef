/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Any messages of the device manager, in any order, of devices that are there or not, while what is there changes and jobs
 * end sooner or later. libudev is played here: the monitor gets from it what the input says. In the end the model must be
 * what a scan of the machine finds, whatever was told before.
 *
 * A line of the input is a message, "ACTION SUBSYSTEM DEVPATH [PROPERTY]", where "-" is what libudev does not know, or, if
 * it begins with such a character, '+' or '>': a card is plugged in or pulled out; '*' or '/': somebody makes or removes a
 * vGPU; '.': a job is done; '!': messages were lost; '?': one that udev did not send.
 */

#include <libudev.h>
#include <sys/eventfd.h>

#include "../unit/machine.h"
#include "monitor.h"
#include "util/file.h"
#include "util/log.h"
#include "util/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

#define LINE_SIZE 512U
#define LINES_MAX 64U

/* abort() and not assert(): a build without assertions would fuzz nothing. */
static void require(bool condition) {
        if (!condition)
                abort();
}

/* What is told of a device; NULL: libudev does not know. */
struct udev_device {
        char text[LINE_SIZE], sysname[LINE_SIZE];
        const char *action, *subsystem, *devpath, *property;
};

/* One message waits, or an error in its place. */
static struct udev_device *waiting;
static int waiting_error;
static int wakeup_fd;
static int nothing; /* stands for what monitors have of udev */

struct udev *udev_new(void) {
        return (struct udev *)&nothing;
}

struct udev *udev_unref(struct udev *udev) {
        return NULL;
}

struct udev_monitor *udev_monitor_new_from_netlink(struct udev *udev, const char *name) {
        return (struct udev_monitor *)&nothing;
}

int udev_monitor_set_receive_buffer_size(struct udev_monitor *monitor, int size) {
        return 0;
}

int udev_monitor_enable_receiving(struct udev_monitor *monitor) {
        return 0;
}

int udev_monitor_get_fd(struct udev_monitor *monitor) {
        return wakeup_fd;
}

struct udev_monitor *udev_monitor_unref(struct udev_monitor *monitor) {
        return NULL;
}

struct udev_device *udev_monitor_receive_device(struct udev_monitor *monitor) {
        struct udev_device *device = waiting;
        int error = waiting_error;
        eventfd_t n;

        waiting = NULL;
        waiting_error = EAGAIN;
        if (!device) {
                (void)eventfd_read(wakeup_fd, &n);
                errno = error;
        }
        return device;
}

struct udev_device *udev_device_unref(struct udev_device *device) {
        free(device);
        return NULL;
}

const char *udev_device_get_action(struct udev_device *device) {
        return device->action;
}

const char *udev_device_get_subsystem(struct udev_device *device) {
        return device->subsystem;
}

const char *udev_device_get_devpath(struct udev_device *device) {
        return device->devpath;
}

/* The end of its path, where '!' stands for '/' (systemd 252, sd_device_get_sysname()). */
const char *udev_device_get_sysname(struct udev_device *device) {
        const char *slash = device->devpath ? strrchr(device->devpath, '/') : NULL;

        if (!slash)
                return NULL;

        (void)text_copy(device->sysname, sizeof(device->sysname), slash + 1);
        for (char *p = device->sysname; *p; p++)
                if (*p == '!')
                        *p = '/';
        return device->sysname;
}

const char *udev_device_get_property_value(struct udev_device *device, const char *key) {
        return device->property && streq(device->property, key) ? "registered" : NULL;
}

struct udev_hwdb *udev_hwdb_new(struct udev *udev) {
        return NULL;
}

struct udev_hwdb *udev_hwdb_unref(struct udev_hwdb *hwdb) {
        return NULL;
}

struct udev_list_entry *udev_hwdb_get_properties_list_entry(struct udev_hwdb *hwdb, const char *alias, unsigned flags) {
        return NULL;
}

struct udev_list_entry *udev_list_entry_get_next(struct udev_list_entry *entry) {
        return NULL;
}

const char *udev_list_entry_get_name(struct udev_list_entry *entry) {
        return NULL;
}

const char *udev_list_entry_get_value(struct udev_list_entry *entry) {
        return NULL;
}

static const char *take_word(char **text) {
        const char *word = strsep(text, " ");

        return word && !streq(word, "-") ? word : NULL;
}

static void send_message(const char *line) {
        struct udev_device *device = calloc(1, sizeof(*device));
        char *rest;

        require(device);
        (void)text_copy(device->text, sizeof(device->text), line);
        rest = device->text;
        device->action = take_word(&rest);
        device->subsystem = take_word(&rest);
        device->devpath = take_word(&rest);
        device->property = take_word(&rest);
        waiting = device;
}

static void on_uevent(const Uevent *uevent, void *userdata) {
        const Machine *m = userdata;

        require(uevent->name && uevent->devpath && uevent->action >= 0 && uevent->subsystem >= 0);
        manager_handle_uevent(m->manager, uevent);
}

static void on_overrun(void *userdata) {
        const Machine *m = userdata;

        require(manager_scan(m->manager) >= 0);
}

static const MonitorOps monitor_ops = { .uevent = on_uevent, .overrun = on_overrun };

static const char *const addresses[] = { GPU_A, GPU_B };
static const char *const uuids[] = { UUID_1, UUID_2, UUID_3 };

static void step(Machine *m, const char *line) {
        const char *gpu = addresses[(unsigned char)line[1] % ELEMENTSOF(addresses)];
        const char *uuid = uuids[(unsigned char)line[1] % ELEMENTSOF(uuids)];

        waiting_error = EAGAIN;
        switch (line[0]) {
        case '+':
                (void)sim_host_plug(&m->sim, gpu, SIM_GPU_SHIM, 8 * GIB);
                return;
        case '>':
                (void)sim_host_unplug(&m->sim, gpu);
                return;
        case '*':
                (void)machine_make_mdev(m, gpu, TYPE_1, uuid);
                return;
        case '/':
                (void)machine_remove_mdev(m, uuid);
                return;
        case '.':
                (void)fake_do_one(&m->fake);
                return;
        case '!':
                waiting_error = ENOBUFS;
                break;
        case '?':
                waiting_error = 0;
                break;
        default:
                send_message(line);
                break;
        }

        require(eventfd_write(wakeup_fd, 1) >= 0);
        machine_turn(m);
        require(!waiting);
}

/* Whatever was told, the machine is read as it is once somebody looks. */
static void check(Machine *m) {
        char path[128];

        machine_settle(m);
        require(manager_scan(m->manager) >= 0);
        machine_settle(m);
        for (size_t i = 0; i < ELEMENTSOF(addresses); i++) {
                (void)snprintf(path, sizeof(path), "bus/pci/devices/%s", addresses[i]);
                require(path_exists(m->sim.host.sys_fd, path) == !!manager_find_gpu(m->manager, addresses[i]));
        }
        for (size_t i = 0; i < ELEMENTSOF(uuids); i++) {
                const VGpu *vgpu = manager_find_vgpu(m->manager, uuids[i]);

                require(machine_has_mdev(m, uuids[i]) == (vgpu && vgpu->present));
        }
        require(!fake_do_one(&m->fake));
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
        log_setup("fuzz-uevent", LOG_ERR, NULL);
        require(setenv("TMPDIR", "/dev/shm", /* overwrite= */ 1) >= 0);
        return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Monitor *monitor;
        Machine *m;

        wakeup_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        require(wakeup_fd >= 0);
        m = machine_with_gpus();
        require(monitor_new(m->event, &monitor_ops, m, &monitor) >= 0);

        for (size_t at = 0, n = 0; at < size && n < LINES_MAX; n++) {
                const uint8_t *end = memchr(data + at, '\n', size - at);
                size_t length = end ? (size_t)(end - data) - at : size - at;
                char line[LINE_SIZE];

                (void)snprintf(line, sizeof(line), "%.*s", (int)MIN(length, sizeof(line) - 1), (const char *)data + at);
                if (line[0] != '\0')
                        step(m, line);
                at += length + 1;
        }

        check(m);
        monitor_free(monitor);
        machine_free(m);
        fd_close(wakeup_fd);
        return 0;
}
