/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Reply: what came over the bus, read once into JSON values. The sender is not trusted: types are taken from the
 * message, never assumed, and nesting is bounded.
 */

#include <math.h>

#include "reply.h"
#include "text.h"

/* Far more than any member of the interface nests, far less than the stack bears. */
#define DEPTH_MAX 16U

static int read_any(sd_bus_message *m, unsigned depth, json_object **ret);

static int json_or_oom(json_object *value, json_object **ret) {
        if (!value)
                return -ENOMEM;

        *ret = value;
        return 1;
}

static int read_text(sd_bus_message *m, char type, json_object **ret) {
        const char *s;
        int r;

        r = sd_bus_message_read_basic(m, type, &s);
        if (r < 0)
                return r;

        if (type == SD_BUS_TYPE_OBJECT_PATH && streq(s, "/")) {
                *ret = NULL;
                return 0;
        }

        return json_or_oom(json_object_new_string(s), ret);
}

static int read_number(sd_bus_message *m, char type, json_object **ret) {
        union {
                uint8_t y;
                int16_t n;
                uint16_t q;
                int32_t i;
                uint32_t u;
                int64_t x;
                uint64_t t;
                double d;
                int b;
        } v;
        bool unknown = false;
        int r;

        r = sd_bus_message_read_basic(m, type, &v);
        if (r < 0)
                return r;

        switch (type) {
        case SD_BUS_TYPE_BOOLEAN:
                return json_or_oom(json_object_new_boolean(v.b), ret);
        case SD_BUS_TYPE_BYTE: /* part of a byte string: has no unknown value */
                return json_or_oom(json_object_new_int(v.y), ret);
        case SD_BUS_TYPE_DOUBLE: /* JSON has no infinity */
                if (isfinite(v.d))
                        return json_or_oom(json_object_new_double(v.d), ret);
                unknown = true;
                break;
        case SD_BUS_TYPE_INT16:
                unknown = v.n == INT16_MAX;
                v.x = v.n;
                break;
        case SD_BUS_TYPE_INT32:
                unknown = v.i == INT32_MAX;
                v.x = v.i;
                break;
        case SD_BUS_TYPE_INT64:
                unknown = v.x == INT64_MAX;
                break;
        case SD_BUS_TYPE_UINT16:
                unknown = v.q == UINT16_MAX;
                v.x = v.q;
                break;
        case SD_BUS_TYPE_UINT32:
                unknown = v.u == UINT32_MAX;
                v.x = v.u;
                break;
        case SD_BUS_TYPE_UINT64:
                if (v.t != UINT64_MAX)
                        return json_or_oom(json_object_new_uint64(v.t), ret);
                unknown = true;
                break;
        }

        if (unknown) {
                *ret = NULL;
                return 0;
        }

        return json_or_oom(json_object_new_int64(v.x), ret);
}

static int read_entry(sd_bus_message *m, unsigned depth, json_object *object) {
        _cleanup_(freep) char *key = NULL;
        json_object *value = NULL;
        const char *name;
        int r;

        r = sd_bus_message_enter_container(m, SD_BUS_TYPE_DICT_ENTRY, NULL);
        if (r < 0)
                return r;

        r = sd_bus_message_read_basic(m, SD_BUS_TYPE_STRING, &name);
        if (r < 0)
                return r;

        key = text_key(name);
        if (!key)
                return -ENOMEM;

        r = read_any(m, depth, &value);
        if (r < 0)
                return r;

        r = object_add(object, key, value);
        if (r < 0)
                return r;

        return sd_bus_message_exit_container(m);
}

static int read_dictionary(sd_bus_message *m, unsigned depth, json_object *object) {
        int r;

        while ((r = sd_bus_message_at_end(m, false)) == 0) {
                r = read_entry(m, depth, object);
                if (r < 0)
                        return r;
        }

        return r;
}

/* The members of an array or a struct up to its end. */
static int read_members(sd_bus_message *m, unsigned depth, json_object *array) {
        int r;

        while ((r = sd_bus_message_at_end(m, false)) == 0) {
                json_object *value = NULL;

                r = read_any(m, depth, &value);
                if (r < 0)
                        return r;

                r = array_add(array, value);
                if (r < 0)
                        return r;
        }

        return r;
}

static int read_container(sd_bus_message *m, char type, const char *contents, unsigned depth, json_object **ret) {
        bool dictionary = type == SD_BUS_TYPE_ARRAY && contents[0] == SD_BUS_TYPE_DICT_ENTRY_BEGIN;
        _cleanup_(json_object_putp) json_object *value = NULL;
        int r;

        /* Nothing in the interface nests so deep or counts by anything but names: not shown, and said to be unknown. */
        if (depth >= DEPTH_MAX || (dictionary && contents[1] != SD_BUS_TYPE_STRING)) {
                *ret = NULL;
                return sd_bus_message_skip(m, NULL);
        }

        r = sd_bus_message_enter_container(m, type, contents);
        if (r < 0)
                return r;

        if (type == SD_BUS_TYPE_VARIANT)
                r = read_any(m, depth + 1, &value);
        else {
                value = dictionary ? json_object_new_object() : json_object_new_array();
                if (!value)
                        return -ENOMEM;

                r = dictionary ? read_dictionary(m, depth + 1, value) : read_members(m, depth + 1, value);
        }
        if (r < 0)
                return r;

        r = sd_bus_message_exit_container(m);
        if (r < 0)
                return r;

        *ret = TAKE(value);
        return 0;
}

static int read_any(sd_bus_message *m, unsigned depth, json_object **ret) {
        const char *contents;
        char type;
        int r;

        r = sd_bus_message_peek_type(m, &type, &contents);
        if (r < 0)
                return r;
        if (r == 0)
                return -EBADMSG;

        switch (type) {
        case SD_BUS_TYPE_STRING:
        case SD_BUS_TYPE_OBJECT_PATH:
        case SD_BUS_TYPE_SIGNATURE:
                return read_text(m, type, ret);
        case SD_BUS_TYPE_ARRAY:
        case SD_BUS_TYPE_STRUCT:
        case SD_BUS_TYPE_VARIANT:
                return read_container(m, type, contents, depth, ret);
        case SD_BUS_TYPE_UNIX_FD:
                *ret = NULL;
                return sd_bus_message_skip(m, "h");
        default:
                return read_number(m, type, ret);
        }
}

int reply_read_value(sd_bus_message *m, json_object **ret) {
        _cleanup_(json_object_putp) json_object *value = NULL;
        int r;

        r = read_any(m, 0, &value);
        if (r < 0)
                return r;

        *ret = TAKE(value);
        return 0;
}

static int row_name(json_object *row, const char *const *keys, json_object **ret) {
        _cleanup_(json_object_putp) json_object *object = NULL;
        size_t n, i;
        int r;

        if (!json_object_is_type(row, json_type_array))
                return -EBADMSG;

        object = json_object_new_object();
        if (!object)
                return -ENOMEM;

        n = json_object_array_length(row);
        for (i = 0; keys[i]; i++) {
                if (i >= n)
                        return -EBADMSG;

                r = object_add(object, keys[i], json_object_get(json_object_array_get_idx(row, i)));
                if (r < 0)
                        return r;
        }

        /* What a later version of the daemon tells beyond the fixed members. */
        if (i < n && json_object_is_type(json_object_array_get_idx(row, i), json_type_object)) {
                r = object_merge(object, json_object_array_get_idx(row, i));
                if (r < 0)
                        return r;
        }

        *ret = TAKE(object);
        return 0;
}

int rows_name(json_object *rows, const char *const *keys, json_object **ret) {
        _cleanup_(json_object_putp) json_object *named = NULL;
        int r;

        if (!json_object_is_type(rows, json_type_array))
                return -EBADMSG;

        named = json_object_new_array();
        if (!named)
                return -ENOMEM;

        for (size_t i = 0; i < json_object_array_length(rows); i++) {
                json_object *object = NULL;

                r = row_name(json_object_array_get_idx(rows, i), keys, &object);
                if (r < 0)
                        return r;

                r = array_add(named, object);
                if (r < 0)
                        return r;
        }

        *ret = TAKE(named);
        return 0;
}

typedef struct Place {
        json_object *row;
        size_t before; /* where it stood, which decides between rows that are alike */
} Place;

static int place_compare(const void *a, const void *b) {
        /* Each kind of row has some of these. Addresses and UUIDs are hexadecimal and of one length each. */
        static const char *const keys[] = { "gpu", "address", "uuid" };
        const Place *x = a, *y = b;

        for (size_t i = 0; i < ELEMENTSOF(keys); i++) {
                const char *s = object_string(x->row, keys[i]), *t = object_string(y->row, keys[i]);
                int c = s && t ? strcmp(s, t) : 0;

                if (c != 0)
                        return c;
        }

        return x->before < y->before ? -1 : x->before > y->before;
}

int rows_sort(json_object *rows, json_object **ret) {
        _cleanup_(json_object_putp) json_object *sorted = NULL;
        _cleanup_(freep) Place *places = NULL;
        size_t n = json_object_array_length(rows);
        int r;

        sorted = json_object_new_array();
        places = calloc(n > 0 ? n : 1, sizeof(*places));
        if (!sorted || !places)
                return -ENOMEM;

        for (size_t i = 0; i < n; i++)
                places[i] = (Place){ json_object_array_get_idx(rows, i), i };

        qsort(places, n, sizeof(*places), place_compare);

        for (size_t i = 0; i < n; i++) {
                r = array_add(sorted, json_object_get(places[i].row));
                if (r < 0)
                        return r;
        }

        *ret = TAKE(sorted);
        return 0;
}

int object_merge(json_object *object, json_object *extras) {
        int r;

        json_object_object_foreach(extras, key, value) {
                if (json_object_object_get_ex(object, key, NULL))
                        continue;

                r = object_add(object, key, json_object_get(value));
                if (r < 0)
                        return r;
        }

        return 0;
}

const char *object_string(json_object *object, const char *key) {
        json_object *value;

        if (!json_object_object_get_ex(object, key, &value) || !json_object_is_type(value, json_type_string))
                return NULL;

        return json_object_get_string(value);
}

bool object_is_true(json_object *object, const char *key) {
        json_object *value;

        return json_object_object_get_ex(object, key, &value) && json_object_is_type(value, json_type_boolean) &&
               json_object_get_boolean(value);
}

int object_add(json_object *object, const char *key, json_object *value) {
        if (json_object_object_add(object, key, value) == 0)
                return 0;

        json_object_put(value);
        return -ENOMEM;
}

int object_add_string(json_object *object, const char *key, const char *value) {
        json_object *s;

        s = json_object_new_string(value);
        if (!s)
                return -ENOMEM;

        return object_add(object, key, s);
}

int array_add(json_object *array, json_object *value) {
        if (json_object_array_add(array, value) == 0)
                return 0;

        json_object_put(value);
        return -ENOMEM;
}
