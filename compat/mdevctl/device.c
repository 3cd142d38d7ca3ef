/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <ctype.h>

#include "device.h"

void device_done(Device *d) {
        for (size_t i = 0; i < d->n_attributes; i++) {
                free(d->attributes[i].name);
                free(d->attributes[i].value);
        }
        free(d->attributes);
        free(d->parent);
        free(d->type);
        *d = (Device){};
}

void devices_done(Devices *devices) {
        for (size_t i = 0; i < devices->n; i++)
                device_done(&devices->items[i]);
        free(devices->items);
        *devices = (Devices){};
}

int devices_take(Devices *devices, Device *d) {
        Device *items = reallocarray(devices->items, devices->n + 1, sizeof(*items));

        if (!items)
                return -ENOMEM;

        devices->items = items;
        items[devices->n++] = *d;
        *d = (Device){};
        return 0;
}

static int compare(const void *a, const void *b) {
        const Device *x = a, *y = b;
        int r = strcmp(x->parent, y->parent);

        return r != 0 ? r : strcmp(x->uuid, y->uuid);
}

void devices_sort(Devices *devices) {
        if (devices->n > 0)
                qsort(devices->items, devices->n, sizeof(*devices->items), compare);
}

int device_parse_uuid(const char *text, char ret_uuid[static UUID_SIZE]) {
        static const size_t dashes[] = { 8, 13, 18, 23 };
        size_t n = strlen(text), j = 0;
        bool plain;

        if (n == 45 && memcmp(text, "urn:uuid:", 9) == 0) {
                text += 9;
                n -= 9;
        } else if (n == 38 && text[0] == '{' && text[37] == '}') {
                text++;
                n -= 2;
        }

        plain = n == 32;
        if (!plain && n != 36)
                return -EINVAL;

        for (size_t i = 0; i < 36; i++) {
                bool dash = false;

                for (size_t k = 0; k < ELEMENTSOF(dashes); k++)
                        dash = dash || dashes[k] == i;
                if (dash ? !plain && text[j] != '-' : !isxdigit((unsigned char)text[j]))
                        return -EINVAL;
                ret_uuid[i] = dash ? '-' : (char)tolower((unsigned char)text[j]);
                if (!dash || !plain)
                        j++;
        }

        ret_uuid[36] = '\0';
        return 0;
}

int device_set(char **field, const char *value) {
        char *copy = strdup(value);

        if (!copy)
                return -ENOMEM;

        free(*field);
        *field = copy;
        return 0;
}

int device_add_attribute(Device *d, const char *name, const char *value, long index) {
        _cleanup_(freep) char *n = NULL, *v = NULL;
        size_t at = index < 0 ? d->n_attributes : (size_t)index;
        ManagerAttribute *attributes;

        if (at > d->n_attributes)
                return -ERANGE;

        n = strdup(name);
        v = strdup(value);
        attributes = reallocarray(d->attributes, d->n_attributes + 1, sizeof(*attributes));
        if (attributes)
                d->attributes = attributes;
        if (!n || !v || !attributes)
                return -ENOMEM;

        memmove(attributes + at + 1, attributes + at, (d->n_attributes - at) * sizeof(*attributes));
        attributes[at] = (ManagerAttribute){ .name = TAKE(n), .value = TAKE(v) };
        d->n_attributes++;
        return 0;
}

int device_remove_attribute(Device *d, long index) {
        size_t at = (size_t)index;

        if (index < 0) {
                if (d->n_attributes == 0)
                        return 0;
                at = d->n_attributes - 1;
        }
        if (at >= d->n_attributes)
                return -ERANGE;

        free(d->attributes[at].name);
        free(d->attributes[at].value);
        d->n_attributes--;
        memmove(d->attributes + at, d->attributes + at + 1, (d->n_attributes - at) * sizeof(*d->attributes));
        return 0;
}

json_object *device_parse_json(const char *text, size_t size) {
        json_tokener *tokener = json_tokener_new();
        json_object *json;

        if (!tokener || size > INT32_MAX) {
                if (tokener)
                        json_tokener_free(tokener);
                return NULL;
        }

        json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
        json = json_tokener_parse_ex(tokener, text, (int)size);
        /* A number at the end may go on; of none of our business. */
        if (json_tokener_get_error(tokener) != json_tokener_success) {
                json_object_put(json);
                json = NULL;
        }
        for (size_t i = json_tokener_get_parse_end(tokener); json && i < size; i++)
                if (!strchr(" \t\r\n", text[i]) || text[i] == '\0') {
                        json_object_put(json);
                        json = NULL;
                }

        json_tokener_free(tokener);
        return json;
}

/* NULL if it is none, or holds a NUL, which nothing that it is meant for takes. */
static const char *get_string(json_object *json) {
        const char *s;

        if (!json_object_is_type(json, json_type_string))
                return NULL;

        s = json_object_get_string(json);
        return strlen(s) == (size_t)json_object_get_string_len(json) ? s : NULL;
}

int device_load_attributes(Device *d, json_object *json, const char **ret_problem) {
        if (!json)
                return 0;
        if (!json_object_is_type(json, json_type_array)) {
                *ret_problem = "its attributes are no array";
                return -EBADMSG;
        }

        for (size_t i = 0; i < json_object_array_length(json); i++) {
                json_object *entry = json_object_array_get_idx(json, i);

                if (!json_object_is_type(entry, json_type_object) || json_object_object_length(entry) != 1) {
                        *ret_problem = "an attribute is no object with one member";
                        return -EBADMSG;
                }

                json_object_object_foreach(entry, name, value) {
                        const char *s = get_string(value);
                        int r;

                        if (!s) {
                                *ret_problem = "the value of an attribute is no string";
                                return -EBADMSG;
                        }
                        r = device_add_attribute(d, name, s, -1);
                        if (r < 0) {
                                *ret_problem = "there is no memory for it";
                                return r;
                        }
                }
        }

        return 0;
}

int device_load_json(Device *d, json_object *json, const char **ret_problem) {
        json_object *type, *start, *attributes = NULL;
        const char *s;

        if (!json_object_is_type(json, json_type_object) || !json_object_object_get_ex(json, "mdev_type", &type) ||
            !type || !json_object_object_get_ex(json, "start", &start) || !start) {
                *ret_problem = "it is no object with mdev_type and start";
                return -EBADMSG;
        }

        s = get_string(type);
        if (!s) {
                *ret_problem = "its mdev_type is no string";
                return -EBADMSG;
        }
        if (device_set(&d->type, s) < 0) {
                *ret_problem = "there is no memory for it";
                return -ENOMEM;
        }

        s = get_string(start);
        d->autostart = s && strcmp(s, "auto") == 0;
        (void)json_object_object_get_ex(json, "attrs", &attributes);
        return device_load_attributes(d, attributes, ret_problem);
}
