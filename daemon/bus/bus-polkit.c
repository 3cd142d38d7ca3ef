/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "bus/bus-error.h"
#include "bus/bus-message.h"
#include "bus/bus-polkit.h"
#include "util/log.h"

#define POLKIT_NAME "org.freedesktop.PolicyKit1"
#define POLKIT_PATH "/org/freedesktop/PolicyKit1/Authority"
#define POLKIT_INTERFACE "org.freedesktop.PolicyKit1.Authority"

#define POLKIT_FLAG_INTERACTIVE 1U

/* A program answers at once; a person has to find the window and type. */
#define TIMEOUT_USEC (25U * 1000U * 1000U)
#define TIMEOUT_INTERACTIVE_USEC (180U * 1000U * 1000U)

bool polkit_details_equal(const PolkitDetails *a, const PolkitDetails *b) {
        return streq(a->gpu, b->gpu) && streq(a->type, b->type) && streq(a->uuid, b->uuid) &&
               streq(a->topology, b->topology);
}

static int append_detail(sd_bus_message *m, const char *key, const char *value) {
        int r;

        if (*value == '\0')
                return 0;

        r = sd_bus_message_open_container(m, 'e', "ss");
        if (r < 0)
                return r;

        r = sd_bus_message_append_basic(m, 's', key);
        if (r < 0)
                return r;

        r = bus_append_text(m, value);
        if (r < 0)
                return r;

        return sd_bus_message_close_container(m);
}

static int append_details(sd_bus_message *m, const PolkitDetails *details) {
        int r;

        r = sd_bus_message_open_container(m, 'a', "{ss}");
        if (r < 0)
                return r;

        r = append_detail(m, "gpu", details->gpu);
        if (r < 0)
                return r;

        r = append_detail(m, "type", details->type);
        if (r < 0)
                return r;

        r = append_detail(m, "uuid", details->uuid);
        if (r < 0)
                return r;

        r = append_detail(m, "topology", details->topology);
        if (r < 0)
                return r;

        return sd_bus_message_close_container(m);
}

int polkit_check(sd_bus *bus, sd_bus_slot **ret_slot, const char *sender, const char *action,
                 const PolkitDetails *details, bool interactive, const char *cancellation,
                 sd_bus_message_handler_t handler, void *userdata) {
        _cleanup_(bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        r = sd_bus_message_new_method_call(bus, &m, POLKIT_NAME, POLKIT_PATH, POLKIT_INTERFACE, "CheckAuthorization");
        if (r < 0)
                return r;

        /* The name, never a process: a PID may belong to somebody else by the time that polkit looks at it. */
        r = sd_bus_message_append(m, "(sa{sv})s", "system-bus-name", 1, "name", "s", sender, action);
        if (r < 0)
                return r;

        r = append_details(m, details);
        if (r < 0)
                return r;

        r = sd_bus_message_append(m, "us", interactive ? POLKIT_FLAG_INTERACTIVE : 0U, cancellation);
        if (r < 0)
                return r;

        return sd_bus_call_async(bus, ret_slot, m, handler, userdata,
                                 interactive ? TIMEOUT_INTERACTIVE_USEC : TIMEOUT_USEC);
}

void polkit_cancel(sd_bus *bus, const char *cancellation) {
        _cleanup_(bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        r = sd_bus_message_new_method_call(bus, &m, POLKIT_NAME, POLKIT_PATH, POLKIT_INTERFACE,
                                           "CancelCheckAuthorization");
        if (r >= 0)
                r = sd_bus_message_append_basic(m, 's', cancellation);
        if (r >= 0)
                r = sd_bus_message_set_expect_reply(m, false);
        if (r >= 0)
                r = sd_bus_send(bus, m, /* ret_cookie= */ NULL);
        if (r < 0)
                log_debug("Cannot cancel an authorization: %s", strerrordesc_np(-r));
}

static int read_failure(const sd_bus_error *failure, const char *action, sd_bus_error *ret_error) {
        if (sd_bus_error_has_names(failure, SD_BUS_ERROR_SERVICE_UNKNOWN, SD_BUS_ERROR_NAME_HAS_NO_OWNER,
                                   "org.freedesktop.systemd1.NoSuchUnit", "org.freedesktop.systemd1.UnitMasked"))
                return bus_error_setf(ret_error, -EACCES,
                                      "Only root may do this: polkit, which could allow %s to others, is not running",
                                      action);

        return bus_error_setf(ret_error, -EACCES, "polkit could not judge %s: %s", action,
                              failure->message ?: failure->name);
}

int polkit_read_reply(sd_bus_message *reply, const char *action, sd_bus_error *ret_error) {
        const sd_bus_error *failure = sd_bus_message_get_error(reply);
        int r, authorized, challenge;

        if (failure)
                return read_failure(failure, action, ret_error);

        r = sd_bus_message_enter_container(reply, 'r', "bba{ss}");
        if (r >= 0)
                r = sd_bus_message_read(reply, "bb", &authorized, &challenge);
        if (r < 0)
                return bus_error_setf(ret_error, -EACCES, "polkit's answer to %s cannot be read", action);

        if (authorized)
                return 0;

        if (challenge) {
                (void)sd_bus_error_setf(ret_error, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED,
                                        "%s needs a password: allow interactive authorization where there is an agent "
                                        "to ask for it, or have a polkit rule allow it", action);
                return -EACCES;
        }

        return bus_error_setf(ret_error, -EACCES,
                              "polkit refuses you %s; a rule in /etc/polkit-1/rules.d can allow it", action);
}
