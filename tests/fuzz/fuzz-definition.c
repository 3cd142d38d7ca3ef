/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Any bytes as a definition in /etc/mdevctl.d. What is taken is within every bound, is written in mdevctl's format, and
 * read again is what it was; what is not taken is refused with a sentence.
 */

#include <stdint.h>

#include "core/definition.h"
#include "util/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* abort() and not assert(): a build without assertions would fuzz nothing. */
static void require(bool condition) {
        if (!condition)
                abort();
}

static void check(const Definition *d) {
        require(text_is_name(d->type_id) && streq(d->parent, "parent"));
        require(d->attributes.n <= ATTRIBUTES_MAX);
        for (size_t i = 0; i < d->attributes.n; i++) {
                const Attribute *a = &d->attributes.items[i];

                require(a->name[0] != '/' && !strstr(a->name, "/../") && strncmp(a->name, "../", 3) != 0);
                require(!streq(a->name, "remove") && !streq(a->name, ".."));
                require(strlen(a->name) < ATTRIBUTE_NAME_SIZE && strlen(a->value) < ATTRIBUTE_VALUE_SIZE);
                require(text_is_printable(a->name) && text_is_printable(a->value));
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Definition d = { .parent = "parent" }, again = { .parent = "parent" };
        Error error = ERROR_NULL;
        char *text, *text_again;
        int r;

        r = definition_parse((const char *)data, size, &d, &error);
        if (r < 0) {
                require(error.code == r && error.message[0] != '\0' && text_is_printable(error.message));
                require(d.type_id[0] == '\0' && !d.attributes.items);
                return 0;
        }

        require(error.code == 0);
        check(&d);
        require(definition_format(&d, &text) >= 0 && strlen(text) <= DEFINITION_TEXT_MAX);
        require(definition_parse(text, strlen(text), &again, &error) >= 0 && definition_equal(&d, &again));
        require(definition_format(&again, &text_again) >= 0 && streq(text, text_again));

        free(text);
        free(text_again);
        definition_done(&d);
        definition_done(&again);
        return 0;
}
