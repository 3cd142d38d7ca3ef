/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "bus/bus-error.h"
#include "bus/bus-message.h"
#include "util/text.h"

#define NAME_LENGTH_MAX 255U

/* Options are few; bounds the bitmap of those that were seen. */
#define OPTIONS_MAX 32U

static int check_name(const char *what, const char *name, sd_bus_error *ret_error) {
        if (strlen(name) > NAME_LENGTH_MAX)
                return bus_error_setf(ret_error, -EINVAL, "The %s is longer than %u bytes", what, NAME_LENGTH_MAX);
        if (!text_is_printable(name))
                return bus_error_setf(ret_error, -EINVAL, "The %s holds control characters", what);

        return 0;
}

int bus_read_name(sd_bus_message *message, const char *what, const char **ret_name, sd_bus_error *ret_error) {
        const char *name;
        int r;

        r = sd_bus_message_read_basic(message, 's', &name);
        if (r < 0)
                return r;

        r = check_name(what, name, ret_error);
        if (r < 0)
                return r;

        *ret_name = name;
        return 0;
}

int bus_read_uuid(sd_bus_message *message, bool may_be_empty, char ret_uuid[static 37], sd_bus_error *ret_error) {
        const char *uuid;
        int r;

        r = bus_read_name(message, "UUID", &uuid, ret_error);
        if (r < 0)
                return r;

        if (may_be_empty && *uuid == '\0') {
                ret_uuid[0] = '\0';
                return 0;
        }

        r = text_parse_uuid(uuid, ret_uuid);
        if (r < 0)
                return bus_error_setf(ret_error, r,
                                      "'%s' is no UUID: it has to have the form "
                                      "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx",
                                      uuid);

        return 0;
}

static const BusOption *find_option(const BusOption *options, size_t n_options, const char *name) {
        for (size_t i = 0; i < n_options; i++)
                if (streq(options[i].name, name))
                        return &options[i];

        return NULL;
}

static int refuse_unknown(const char *what, const char *name, const BusOption *options, size_t n_options,
                          sd_bus_error *ret_error) {
        char known[256] = "";
        size_t n = 0;

        for (size_t i = 0; i < n_options && n < sizeof(known); i++)
                n += (size_t)snprintf(known + n, sizeof(known) - n, "%s'%s'", i > 0 ? ", " : "", options[i].name);

        if (n_options == 0)
                return bus_error_setf(ret_error, -EINVAL, "Unknown %s '%s': none is known here", what, name);

        return bus_error_setf(ret_error, -EINVAL, "Unknown %s '%s'; known are %s", what, name, known);
}

static int read_attributes(sd_bus_message *message, Attributes *attributes, sd_bus_error *ret_error) {
        Error error = ERROR_NULL;
        const char *name, *value;
        int r;

        r = sd_bus_message_enter_container(message, 'a', "(ss)");
        if (r < 0)
                return r;

        while ((r = sd_bus_message_read(message, "(ss)", &name, &value)) > 0) {
                r = attributes_add(attributes, name, value, &error);
                if (r < 0)
                        return bus_error_set(ret_error, r == -ENOMEM ? r : -EINVAL, &error);
        }

        return r < 0 ? r : sd_bus_message_exit_container(message);
}

static int read_value(sd_bus_message *message, const char *what, const BusOption *option, sd_bus_error *ret_error) {
        const char basic[] = { option->type, '\0' }, *type = option->type == 'a' ? "a(ss)" : basic, *s;
        int r, b;

        r = sd_bus_message_enter_container(message, 'v', type);
        if (r == -ENXIO)
                return bus_error_setf(ret_error, -EINVAL, "The %s '%s' has to be of type '%s'", what, option->name,
                                      type);
        if (r < 0)
                return r;

        if (option->type == 'b') {
                r = sd_bus_message_read_basic(message, 'b', &b);
                if (r < 0)
                        return r;
                *option->boolean = b;
        } else if (option->type == 'a') {
                r = read_attributes(message, option->attributes, ret_error);
                if (r < 0)
                        return r;
        } else if (option->type == 'u') {
                r = sd_bus_message_read_basic(message, 'u', option->number);
                if (r < 0)
                        return r;
        } else {
                assert(option->type == 's');
                r = bus_read_name(message, option->name, &s, ret_error);
                if (r < 0)
                        return r;
                *option->string = s;
        }

        if (option->given)
                *option->given = true;

        return sd_bus_message_exit_container(message);
}

static int read_entry(sd_bus_message *message, const char *what, const BusOption *options, size_t n_options,
                      uint32_t *seen, sd_bus_error *ret_error) {
        const BusOption *option;
        const char *name;
        uint32_t bit;
        int r;

        r = bus_read_name(message, "name of an option", &name, ret_error);
        if (r < 0)
                return r;

        option = find_option(options, n_options, name);
        if (!option)
                return refuse_unknown(what, name, options, n_options, ret_error);

        bit = 1U << (option - options);
        if (*seen & bit)
                return bus_error_setf(ret_error, -EINVAL, "The %s '%s' is given twice", what, name);
        *seen |= bit;

        return read_value(message, what, option, ret_error);
}

int bus_read_options(sd_bus_message *message, const char *what, const BusOption *options, size_t n_options,
                     sd_bus_error *ret_error) {
        uint32_t seen = 0;
        int r;

        assert(n_options <= OPTIONS_MAX);

        r = sd_bus_message_enter_container(message, 'a', "{sv}");
        if (r < 0)
                return r;

        while ((r = sd_bus_message_enter_container(message, 'e', "sv")) > 0) {
                r = read_entry(message, what, options, n_options, &seen, ret_error);
                if (r < 0)
                        return r;

                r = sd_bus_message_exit_container(message);
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return r;

        return sd_bus_message_exit_container(message);
}

int bus_read_no_options(sd_bus_message *message, sd_bus_error *ret_error) {
        return bus_read_options(message, "option", NULL, 0, ret_error);
}

const char *bus_clean_text(const char *text, char *buffer, size_t size) {
        if (text_is_printable(text))
                return text;

        (void)text_copy(buffer, size, text);
        text_sanitize(buffer);
        return buffer;
}

int bus_append_text(sd_bus_message *message, const char *text) {
        _cleanup_(freep) char *clean = NULL;

        if (text_is_printable(text))
                return sd_bus_message_append_basic(message, 's', text);

        /* One driver's odd byte must not make a reply fail that tells of every GPU. */
        clean = strdup(text);
        if (!clean)
                return -ENOMEM;

        text_sanitize(clean);
        return sd_bus_message_append_basic(message, 's', clean);
}

int bus_append_text_entry(sd_bus_message *message, const char *key, const char *text) {
        int r;

        r = sd_bus_message_open_container(message, 'e', "sv");
        if (r < 0)
                return r;

        r = sd_bus_message_append_basic(message, 's', key);
        if (r < 0)
                return r;

        r = sd_bus_message_open_container(message, 'v', "s");
        if (r < 0)
                return r;

        r = bus_append_text(message, text);
        if (r < 0)
                return r;

        r = sd_bus_message_close_container(message);
        if (r < 0)
                return r;

        return sd_bus_message_close_container(message);
}

int bus_get_text(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                 void *userdata, sd_bus_error *ret_error) {
        return bus_append_text(reply, userdata);
}

int bus_get_bool(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                 void *userdata, sd_bus_error *ret_error) {
        int b = *(const bool *)userdata;

        return sd_bus_message_append_basic(reply, 'b', &b);
}
