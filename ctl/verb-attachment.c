/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Attachment: what to write into the configuration of a virtual machine or a container runtime to give it vGPUs.
 */

#include <stdio.h>

#include "bus.h"
#include "domain.h"
#include "print.h"
#include "reply.h"
#include "text.h"
#include "verbs.h"

/* `options_append()` sends what the daemon knows as an option; the format is an argument. */
static Status attachment_get(Ctl *ctl, const char *uuid, char **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *found = NULL, *reply = NULL;
        const char *path, *text;
        Status status;
        int r;

        status = bus_call(ctl, "GetVGpu", "o", &found, "s", uuid);
        if (status != STATUS_DONE)
                return status;
        r = sd_bus_message_read(found, "o", &path);
        if (r < 0)
                return ctl_error(STATUS_FAILED, "Cannot read the answer to GetVGpu: %s.", strerror(-r));

        status = bus_ask(ctl, path, BUS_VGPU, "GetAttachment", "s", &reply, "s",
                         ctl->format ? ctl->format : "libvirt-xml");
        if (status != STATUS_DONE)
                return status;
        r = sd_bus_message_read(reply, "s", &text);
        if (r < 0)
                return ctl_error(STATUS_FAILED, "Cannot read the answer to GetAttachment: %s.", strerror(-r));

        *ret = text_escape(text, 0, TEXT_KEEP_NEWLINES);
        return *ret ? STATUS_DONE : ctl_oom();
}

static Status attachment_add(const Ctl *ctl, json_object *all, const char *uuid, const char *text) {
        json_object *one;

        if (ctl->output == OUTPUT_TEXT) {
                if (!ctl->domain)
                        fputs(text, stdout);
                return STATUS_DONE;
        }

        one = json_object_new_object();
        if (!one || array_add(all, one) < 0 || object_add_string(one, "uuid", uuid) < 0 ||
            object_add_string(one, "text", text) < 0)
                return ctl_oom();

        return STATUS_DONE;
}

/* What virsh cannot attach one after the other, or where. */
static Status attachment_check_domain(const Ctl *ctl) {
        if (!(ctl->given & OPTION_DOMAIN))
                return ctl->given & (OPTION_LIVE | OPTION_CONFIG)
                               ? ctl_error(STATUS_USAGE, "--live and --config go with --domain.")
                               : STATUS_DONE;
        if (ctl->format && !streq(ctl->format, "libvirt-xml"))
                return ctl_error(STATUS_USAGE, "--domain is for libvirt: it takes no other --format.");
        if (ctl->given & (OPTION_DISPLAY | OPTION_RAMFB))
                return ctl_error(STATUS_USAGE,
                                 "libvirt attaches no picture: write what --display prints into the domain yourself.");
        if (ctl->host)
                return ctl_error(STATUS_USAGE, "--domain is for a domain of this machine, and --host for another.");

        return STATUS_DONE;
}

static Status attachment_check(const Ctl *ctl, char **arguments) {
        /* One document a file, and one picture a machine. */
        if (arguments[1] && ctl->format && streq(ctl->format, "cdi"))
                return ctl_error(STATUS_USAGE, "A CDI document is about one vGPU: ask for each of them.");
        if (arguments[1] && (ctl->given & OPTION_DISPLAY))
                return ctl_error(STATUS_USAGE,
                                 "--display is for one vGPU of a machine: ask for the others without it.");

        return attachment_check_domain(ctl);
}

Status verb_attachment(Ctl *ctl, char **arguments) {
        _cleanup_(json_object_putp) json_object *all = NULL;
        uint64_t where;
        Status status;

        status = attachment_check(ctl, arguments);
        if (status != STATUS_DONE)
                return status;

        /* The domain's, and not the vGPU's. */
        where = ctl->given & (OPTION_LIVE | OPTION_CONFIG);
        ctl->given &= ~where;
        all = json_object_new_array();
        if (!all)
                return ctl_oom();

        for (; *arguments; arguments++) {
                _cleanup_(freep) char *uuid = NULL, *text = NULL;
                Status one = vgpu_resolve(ctl, *arguments, /* ret_error= */ NULL, &uuid);

                if (one == STATUS_DONE)
                        one = attachment_get(ctl, uuid, &text);
                if (one == STATUS_DONE && ctl->domain)
                        one = domain_attach(ctl->domain, where, text);
                if (one == STATUS_DONE)
                        one = attachment_add(ctl, all, uuid, text);
                status = status_first(status, one);
                if (one == STATUS_UNREACHABLE)
                        return status;
        }

        return ctl->output == OUTPUT_TEXT ? status : status_first(status, print_json(ctl, all));
}
