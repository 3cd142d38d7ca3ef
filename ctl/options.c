/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Options: what the command line says about vGPUs. No option has a default here: what is not given is not sent, and so
 * is the daemon's to choose.
 */

#include "options.h"

/* As D-Bus takes them, in their order: one may be refused unless another was written before. */
static Status attribute_take(Ctl *ctl, char *argument) {
        const char *equals = strchr(argument, '=');
        char **attributes;

        if (!equals || equals == argument)
                return ctl_error(STATUS_USAGE, "--attr=%s is not NAME=VALUE.", argument);

        attributes = reallocarray(ctl->attributes, ctl->n_attributes + 1, sizeof(*attributes));
        if (!attributes)
                return ctl_oom();

        ctl->attributes = attributes;
        ctl->attributes[ctl->n_attributes++] = argument;
        return STATUS_DONE;
}

static Status number_take(const char *argument, uint32_t *ret) {
        char *end;
        unsigned long value;

        errno = 0;
        value = strtoul(argument, &end, 10);
        if (errno != 0 || *end || argument[0] < '0' || argument[0] > '9' || value > INT32_MAX)
                return ctl_error(STATUS_USAGE, "--numa-node=%s is no number of a node.", argument);

        *ret = (uint32_t)value;
        return STATUS_DONE;
}

static Status seconds_take(const char *argument, uint32_t *ret) {
        unsigned long value;
        char *end;

        errno = 0;
        value = strtoul(argument, &end, 10);
        if (errno != 0 || *end != '\0' || argument[0] < '0' || argument[0] > '9' || value > UINT32_MAX)
                return ctl_error(STATUS_USAGE, "--lease=%s is no number of seconds.", argument);

        *ret = (uint32_t)value;
        return STATUS_DONE;
}

Status options_take(Ctl *ctl, uint64_t option, char *argument) {
        ctl->given |= option;

        switch (option) {
        case OPTION_LABEL:
                ctl->label = argument;
                return STATUS_DONE;
        case OPTION_NUMA_NODE:
                return number_take(argument, &ctl->numa_node);
        case OPTION_LEASE:
                return seconds_take(argument, &ctl->lease);
        case OPTION_TYPE:
                ctl->type = argument;
                return STATUS_DONE;
        case OPTION_FORMAT:
                ctl->format = argument;
                return STATUS_DONE;
        case OPTION_DOMAIN:
                ctl->domain = argument;
                return STATUS_DONE;
        case OPTION_AFTER:
                ctl->after = argument;
                return STATUS_DONE;
        case OPTION_UUID:
                ctl->uuid = argument;
                return STATUS_DONE;
        case OPTION_ATTR:
                return attribute_take(ctl, argument);
        default: /* a switch */
                return STATUS_DONE;
        }
}

Status options_check(const Ctl *ctl) {
        static const struct {
                uint64_t option;
                const char *name;
        } names[] = {
                { OPTION_UNMANAGED, "unmanaged" },
                { OPTION_PERSISTENT, "persistent" },
                { OPTION_AUTOSTART, "autostart" },
                { OPTION_MANUAL, "manual" },
                { OPTION_OFF, "off" },
                { OPTION_LABEL, "label" },
                { OPTION_TYPE, "type" },
                { OPTION_ATTR, "attr" },
                { OPTION_LIVE, "live" },
                { OPTION_CONFIG, "config" },
                { OPTION_NUMA_NODE, "numa-node" },
                { OPTION_TAKE_DISPLAY, "take-display" },
                { OPTION_FORMAT, "format" },
                { OPTION_DISPLAY, "display" },
                { OPTION_RAMFB, "ramfb" },
                { OPTION_PROBE, "probe" },
                { OPTION_LEASE, "lease" },
                { OPTION_KEEP, "keep" },
                { OPTION_DOMAIN, "domain" },
                { OPTION_AFTER, "after" },
                { OPTION_NO_PRECOPY, "no-precopy" },
                { OPTION_REPLACE, "replace" },
                { OPTION_NO_WAIT, "no-wait" },
                { OPTION_UUID, "uuid" },
        };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (ctl->given & ~ctl->takes & names[i].option)
                        return ctl_error(STATUS_USAGE, "--%s does not go with %s; 'mdevgpuctl help %s' says what does.",
                                         names[i].name, ctl->verb, ctl->verb);

        if ((ctl->given & OPTION_AUTOSTART) && (ctl->given & OPTION_MANUAL))
                return ctl_error(STATUS_USAGE, "--autostart and --manual exclude each other.");

        return STATUS_DONE;
}

static int attributes_append(const Ctl *ctl, sd_bus_message *m) {
        int r;

        r = sd_bus_message_open_container(m, SD_BUS_TYPE_DICT_ENTRY, "sv");
        if (r >= 0)
                r = sd_bus_message_append_basic(m, SD_BUS_TYPE_STRING, "attrs");
        if (r >= 0)
                r = sd_bus_message_open_container(m, SD_BUS_TYPE_VARIANT, "a(ss)");
        if (r >= 0)
                r = sd_bus_message_open_container(m, SD_BUS_TYPE_ARRAY, "(ss)");

        for (size_t i = 0; i < ctl->n_attributes && r >= 0; i++) {
                const char *equals = strchr(ctl->attributes[i], '=');
                _cleanup_(freep) char *name = NULL;

                name = strndup(ctl->attributes[i], (size_t)(equals - ctl->attributes[i]));
                if (!name)
                        return -ENOMEM;

                r = sd_bus_message_append(m, "(ss)", name, equals + 1);
        }

        for (unsigned opened = 0; opened < 3 && r >= 0; opened++)
                r = sd_bus_message_close_container(m);

        return r;
}

static int scope_append(const Ctl *ctl, sd_bus_message *m) {
        uint64_t scope = ctl->given & (OPTION_LIVE | OPTION_CONFIG);

        return sd_bus_message_append(m, "{sv}", "scope", "s",
                                     scope == OPTION_LIVE     ? "live"
                                     : scope == OPTION_CONFIG ? "config"
                                                              : "both");
}

static int switches_append(const Ctl *ctl, sd_bus_message *m) {
        static const struct {
                uint64_t option;
                const char *name;
                int value;
        } switches[] = {
                { OPTION_UNMANAGED, "unmanaged", true },
                { OPTION_PERSISTENT, "persistent", true },
                { OPTION_TAKE_DISPLAY, "take-display", true },
                { OPTION_DISPLAY, "display", true },
                { OPTION_RAMFB, "ramfb", true },
                { OPTION_PROBE, "probe", true },
                { OPTION_KEEP, "keep", true },
                { OPTION_REPLACE, "replace", true },
                { OPTION_NO_PRECOPY, "precopy", false },
        };
        int r = 0;

        for (size_t i = 0; i < ELEMENTSOF(switches) && r >= 0; i++)
                if (ctl->given & switches[i].option)
                        r = sd_bus_message_append(m, "{sv}", switches[i].name, "b", switches[i].value);
        if (r >= 0 && (ctl->given & OPTIONS_OF_AUTOSTART))
                r = sd_bus_message_append(m, "{sv}", "autostart", "b", (ctl->given & OPTION_AUTOSTART) ? 1 : 0);

        return r;
}

static int texts_append(const Ctl *ctl, sd_bus_message *m) {
        const struct {
                uint64_t option;
                const char *name, *value;
        } texts[] = {
                { OPTION_LABEL, "label", ctl->label },
                { OPTION_TYPE, "type", ctl->type },
                { OPTION_AFTER, "after", ctl->after },
                { OPTION_UUID, "uuid", ctl->uuid },
        };
        int r = 0;

        for (size_t i = 0; i < ELEMENTSOF(texts) && r >= 0; i++)
                if (ctl->given & texts[i].option)
                        r = sd_bus_message_append(m, "{sv}", texts[i].name, "s", texts[i].value);

        return r;
}

int options_append(const Ctl *ctl, sd_bus_message *m) {
        uint64_t given = ctl->given;
        int r;

        r = sd_bus_message_open_container(m, SD_BUS_TYPE_ARRAY, "{sv}");
        if (r >= 0)
                r = switches_append(ctl, m);
        if (r >= 0 && (given & OPTION_LEASE))
                r = sd_bus_message_append(m, "{sv}", "lease", "u", ctl->lease);
        if (r >= 0)
                r = texts_append(ctl, m);
        if (r >= 0 && (given & OPTION_NUMA_NODE))
                r = sd_bus_message_append(m, "{sv}", "numa-node", "u", ctl->numa_node);
        if (r >= 0 && (given & OPTION_ATTR))
                r = attributes_append(ctl, m);
        if (r >= 0 && (given & (OPTION_LIVE | OPTION_CONFIG)))
                r = scope_append(ctl, m);
        if (r < 0)
                return r;

        return sd_bus_message_close_container(m);
}

void options_done(Ctl *ctl) {
        free(TAKE(ctl->attributes));
        ctl->n_attributes = 0;
}
