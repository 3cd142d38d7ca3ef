/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <libudev.h>
#include <sys/epoll.h>

#include "monitor.h"
#include "util/log.h"
#include "util/text.h"

/* Room for a burst of some 200,000 events; as root without CAP_NET_ADMIN the kernel grants what rmem_max says. */
#define RECEIVE_BUFFER_SIZE (128 * 1024 * 1024)

/* Events taken in one turn of the loop, so that a storm does not starve the bus. */
#define BATCH 64U

struct Monitor {
        const MonitorOps *ops;
        void *userdata;
        sd_event *event;
        struct udev *udev;
        struct udev_monitor *monitor;
        sd_event_source *io;
};

static const char *const action_table[] = {
        [UEVENT_ADD] = "add",   [UEVENT_REMOVE] = "remove", [UEVENT_CHANGE] = "change",
        [UEVENT_BIND] = "bind", [UEVENT_UNBIND] = "unbind",
};

static UeventAction action_from_string(const char *s) {
        for (size_t i = 0; s && i < ELEMENTSOF(action_table); i++)
                if (streq(action_table[i], s))
                        return (UeventAction)i;

        return UEVENT_OTHER;
}

/* UEVENT_SUBSYSTEM_INVALID: of no concern. */
static UeventSubsystem classify(struct udev_device *device) {
        const char *subsystem = strempty(udev_device_get_subsystem(device));

        if (streq(subsystem, "pci"))
                return UEVENT_PCI;
        if (streq(subsystem, "mdev"))
                return UEVENT_MDEV;
        if (streq(subsystem, "mdevgpu"))
                return UEVENT_MDEVGPU;
        /* Parents on other buses are known by what the mdev core adds to their change event (kernel 5.3 and later). */
        if (udev_device_get_property_value(device, "MDEV_STATE"))
                return UEVENT_PARENT;

        return UEVENT_SUBSYSTEM_INVALID;
}

static void dispatch(Monitor *m, struct udev_device *device) {
        Uevent uevent = {
                .action = action_from_string(udev_device_get_action(device)),
                .subsystem = classify(device),
                .name = udev_device_get_sysname(device),
                .devpath = udev_device_get_devpath(device),
        };

        if (uevent.subsystem != UEVENT_SUBSYSTEM_INVALID && uevent.name && uevent.devpath)
                m->ops->uevent(&uevent, m->userdata);
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata);

/* No filter by subsystem: an mdev parent may be of any, and libudev's filters cannot ask for a property. */
static int subscribe(Monitor *m) {
        int r;

        m->monitor = udev_monitor_new_from_netlink(m->udev, "udev");
        if (!m->monitor)
                return negative_errno();

        (void)udev_monitor_set_receive_buffer_size(m->monitor, RECEIVE_BUFFER_SIZE);
        r = udev_monitor_enable_receiving(m->monitor);
        if (r < 0)
                return r;

        return sd_event_add_io(m->event, &m->io, udev_monitor_get_fd(m->monitor), EPOLLIN, on_io, m);
}

static void unsubscribe(Monitor *m) {
        m->io = sd_event_source_disable_unref(m->io);
        if (m->monitor)
                udev_monitor_unref(m->monitor);
        m->monitor = NULL;
}

/* What waits in the buffer is older than what is about to be read anew, and it is a lot: as it is let go of with its
 * socket, nothing has to wait for it. The new one listens before anything is read. */
static void handle_overrun(Monitor *m) {
        Monitor old = *m;

        log_warning("Device events were lost; reading everything again");
        m->io = NULL;
        m->monitor = NULL;
        if (subscribe(m) >= 0)
                unsubscribe(&old);
        else {
                unsubscribe(m);
                *m = old;
        }
        m->ops->overrun(m->userdata);
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Monitor *m = userdata;

        for (unsigned i = 0; i < BATCH; i++) {
                struct udev_device *device;

                errno = 0;
                device = udev_monitor_receive_device(m->monitor);
                if (device) {
                        dispatch(m, device);
                        udev_device_unref(device);
                        continue;
                }

                if (errno == ENOBUFS) {
                        handle_overrun(m);
                        break;
                }
                /* NULL with another error, or with none: nothing there, or a message that udev did not send. */
                if (errno == EAGAIN || errno == 0)
                        break;
        }

        return 0;
}

int monitor_new(sd_event *event, const MonitorOps *ops, void *userdata, Monitor **ret_monitor) {
        _cleanup_(monitor_freep) Monitor *m = NULL;
        int r;

        m = calloc(1, sizeof(Monitor));
        if (!m)
                return -ENOMEM;

        m->ops = ops;
        m->userdata = userdata;
        m->udev = udev_new();
        if (!m->udev)
                return -ENOMEM;
        m->event = sd_event_ref(event);

        r = subscribe(m);
        if (r < 0)
                return r;

        *ret_monitor = TAKE(m);
        return 0;
}

Monitor *monitor_free(Monitor *m) {
        if (!m)
                return NULL;

        unsubscribe(m);
        sd_event_unref(m->event);
        if (m->udev)
                udev_unref(m->udev);
        free(m);
        return NULL;
}

void monitor_lookup_names(const GpuIdentity *identity, char *vendor, size_t vendor_size, char *device,
                          size_t device_size, void *userdata) {
        struct udev_list_entry *properties, *entry;
        Monitor *m = userdata;
        struct udev_hwdb *hwdb;
        char modalias[128];

        if (!identity->pci)
                return;
        /* For this once: it is a file in memory, most of a megabyte once it has been looked at. */
        hwdb = udev_hwdb_new(m->udev);
        if (!hwdb) /* not installed */
                return;

        (void)snprintf(modalias, sizeof(modalias), "pci:v%08Xd%08Xsv%08Xsd%08Xbc%02Xsc%02Xi%02X", identity->vendor,
                       identity->device, identity->subsystem_vendor, identity->subsystem_device,
                       identity->class >> 16 & 0xff, identity->class >> 8 & 0xff, identity->class & 0xff);

        properties = udev_hwdb_get_properties_list_entry(hwdb, modalias, 0);
        udev_list_entry_foreach(entry, properties) {
                const char *name = udev_list_entry_get_name(entry);
                const char *value = strempty(udev_list_entry_get_value(entry));

                if (streq(name, "ID_VENDOR_FROM_DATABASE"))
                        (void)text_copy(vendor, vendor_size, value);
                else if (streq(name, "ID_MODEL_FROM_DATABASE"))
                        (void)text_copy(device, device_size, value);
        }
        (void)udev_hwdb_unref(hwdb);

        text_sanitize(vendor);
        text_sanitize(device);
}
