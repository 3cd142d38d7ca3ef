/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "core/attributes.h"
#include "util/text.h"

/* One or more names, joined by '/'. */
static bool is_relative_path(const char *name) {
        char component[ATTRIBUTE_NAME_SIZE];

        if (strlen(name) >= ATTRIBUTE_NAME_SIZE)
                return false;

        for (;;) {
                size_t n = strcspn(name, "/");

                (void)snprintf(component, sizeof(component), "%.*s", (int)n, name);
                if (!text_is_name(component))
                        return false;
                if (name[n] == '\0')
                        return true;
                name += n + 1;
        }
}

static int check_attribute(const char *name, const char *value, Error *error) {
        if (!is_relative_path(name))
                return error_set(error, -EINVAL, "'%.64s' is no name of an attribute below the vGPU's own folder",
                                 name);
        if (streq(name, "remove"))
                return error_set(error, -EINVAL, "The attribute 'remove' would destroy the vGPU that it configures");
        if (strlen(value) >= ATTRIBUTE_VALUE_SIZE || !text_is_printable(value))
                return error_set(error, -EINVAL,
                                 "The value of attribute '%.64s' is no line of text of at most %u bytes", name,
                                 ATTRIBUTE_VALUE_SIZE - 1);

        return 0;
}

int attributes_add(Attributes *attributes, const char *name, const char *value, Error *error) {
        Attribute *items;
        int r;

        r = check_attribute(name, value, error);
        if (r < 0)
                return r;
        if (attributes->n >= ATTRIBUTES_MAX)
                return error_set(error, -E2BIG, "There are more than %u attributes", ATTRIBUTES_MAX);

        items = reallocarray(attributes->items, attributes->n + 1, sizeof(Attribute));
        if (!items)
                return error_set_errno(error, -ENOMEM, "the attributes cannot be kept");

        attributes->items = items;
        items[attributes->n] = (Attribute){ .name = strdup(name), .value = strdup(value) };
        if (!items[attributes->n].name || !items[attributes->n].value) {
                free(items[attributes->n].name);
                free(items[attributes->n].value);
                return error_set_errno(error, -ENOMEM, "the attributes cannot be kept");
        }

        attributes->n++;
        return 0;
}

int attributes_copy(const Attributes *attributes, Attributes *ret) {
        Attributes copy = {};
        int r;

        for (size_t i = 0; i < attributes->n; i++) {
                r = attributes_add(&copy, attributes->items[i].name, attributes->items[i].value, NULL);
                if (r < 0) {
                        attributes_done(&copy);
                        return r;
                }
        }

        *ret = copy;
        return 0;
}

bool attributes_equal(const Attributes *a, const Attributes *b) {
        if (a->n != b->n)
                return false;

        for (size_t i = 0; i < a->n; i++)
                if (!streq(a->items[i].name, b->items[i].name) || !streq(a->items[i].value, b->items[i].value))
                        return false;

        return true;
}

void attributes_done(Attributes *attributes) {
        for (size_t i = 0; i < attributes->n; i++) {
                free(attributes->items[i].name);
                free(attributes->items[i].value);
        }
        free(attributes->items);
        *attributes = (Attributes){};
}
