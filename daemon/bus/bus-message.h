/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Messages: reading arguments that callers made up, and writing words that drivers made up. */

#include <systemd/sd-bus.h>

#include "core/attributes.h"
#include "util/error.h"

/*
 * An entry that an a{sv} of options or of a filter may hold. The target is left alone if the entry is not there; the
 * strings belong to the message.
 */
typedef struct BusOption {
        const char *name;
        char type; /* 's', 'b', 'u', or 'a' for an a(ss) of attributes, which the caller releases whatever comes of it */
        union {
                void *target;
                const char **string;
                bool *boolean;
                uint32_t *number;
                Attributes *attributes;
        };
        bool *given; /* may be NULL */
} BusOption;

/*
 * Reads an a{sv} in which nothing may be but what `options` names, each once at most. what: "option" or "filter", for
 * the message.
 */
int bus_read_options(sd_bus_message *message, const char *what, const BusOption *options, size_t n_options,
                     sd_bus_error *ret_error);

/* One that takes no options yet. */
int bus_read_no_options(sd_bus_message *message, sd_bus_error *ret_error);

/* A name: at most 255 bytes and no control characters, so that it can be quoted anywhere. */
int bus_read_name(sd_bus_message *message, const char *what, const char **ret_name, sd_bus_error *ret_error);

/* A UUID, made lower case; an empty string yields an empty one if that is allowed. */
int bus_read_uuid(sd_bus_message *message, bool may_be_empty, char ret_uuid[static 37], sd_bus_error *ret_error);

/* What others wrote, as it can be sent: text itself or, where something in it is not printable, what can be said of it, in
 * the buffer. */
const char *bus_clean_text(const char *text, char *buffer, size_t size);
int bus_append_text(sd_bus_message *message, const char *text);

/* Entries of an a{sv}. */
int bus_append_text_entry(sd_bus_message *message, const char *key, const char *text);

/* A property whose value lies as a char[] at userdata. */
int bus_get_text(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                 void *userdata, sd_bus_error *ret_error);
/* The same for a bool. */
int bus_get_bool(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                 void *userdata, sd_bus_error *ret_error);

static inline void bus_message_unrefp(sd_bus_message **message) {
        sd_bus_message_unref(*message);
}
