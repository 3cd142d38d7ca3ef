/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* How a vGPU is handed to a virtual machine. */

#include "bus/bus-error.h"
#include "bus/bus-interface.h"
#include "bus/bus-message.h"
#include "core/attachment.h"

int vgpu_method_get_attachment(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        AttachmentOptions options = {};
        const BusOption table[] = {
                { "display", 'b', { &options.display }, NULL },
                { "ramfb", 'b', { &options.ramfb }, NULL },
        };
        _cleanup_(freep) char *text = NULL;
        AttachmentFormat format;
        Error error = ERROR_NULL;
        const char *word;
        int r;

        r = bus_read_name(message, "format", &word, ret_error);
        if (r >= 0)
                r = bus_read_options(message, "option", table, ELEMENTSOF(table), ret_error);
        if (r < 0)
                return r;

        format = attachment_format_from_string(word);
        if (format < 0)
                return bus_error_setf(ret_error, -EINVAL,
                                      "There is no format '%s'; there are libvirt-xml, qemu and cdi", word);

        r = attachment_write(userdata, format, &options, &text, &error);
        if (r < 0)
                return bus_error_set(ret_error, r, &error);

        return sd_bus_reply_method_return(message, "s", text);
}
