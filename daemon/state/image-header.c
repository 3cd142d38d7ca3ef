/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <json-c/json.h>
#include <limits.h>

#include "state/image.h"
#include "util/text.h"

/* What the header has: objects in an object, and lists of them. */
#define JSON_DEPTH_MAX 6

typedef enum FieldKind {
        FIELD_TEXT,
        FIELD_U32,
        FIELD_U64,
} FieldKind;

/* A key, and where its value is; what is not known is not there. */
typedef struct Field {
        const char *key;
        size_t offset;
        size_t size; /* of a text, with its NUL */
        FieldKind kind;
        bool required;
} Field;

#define TEXT(key, s, member, must)                                                                                     \
        { key, offsetof(s, member), sizeof(((s *)NULL)->member), FIELD_TEXT, must }
#define U32(key, s, member)                                                                                            \
        { key, offsetof(s, member), 0, FIELD_U32, false }
#define U64(key, s, member)                                                                                            \
        { key, offsetof(s, member), 0, FIELD_U64, false }

static const Field header_fields[] = {
        U64("created", ImageHeader, created_usec),
        TEXT("host", ImageHeader, host, false),
        TEXT("uuid", ImageHeader, uuid, true),
        TEXT("label", ImageHeader, label, false),
        U64("migration-flags", ImageHeader, migration_flags),
        U64("size", ImageHeader, size),
        {},
};

static const Field gpu_fields[] = {
        TEXT("address", ImageHeader, gpu, false),
        U32("vendor", ImageHeader, vendor_id),
        U32("device", ImageHeader, device_id),
        U32("subsystem", ImageHeader, subsystem_id),
        TEXT("backend", ImageHeader, backend, true),
        TEXT("driver", ImageHeader, driver, false),
        TEXT("driver-version", ImageHeader, driver_version, false),
        {},
};

static const Field type_fields[] = {
        TEXT("id", TypeReport, id, true),
        TEXT("name", TypeReport, name, false),
        TEXT("description", TypeReport, description, false),
        TEXT("device-api", TypeReport, device_api, false),
        TEXT("class", TypeReport, class, false),
        U32("vendor-id", TypeReport, vendor_id),
        U32("max-instances", TypeReport, max_instances),
        U64("framebuffer", TypeReport, framebuffer),
        U32("heads", TypeReport, heads),
        U32("max-width", TypeReport, max_width),
        U32("max-height", TypeReport, max_height),
        U32("frame-limit", TypeReport, frame_limit),
        {},
};

static const char *const kinds[VGPU_KIND_MAX] = {
        [VGPU_MDEV] = "mdev",
        [VGPU_VF] = "vf",
        [VGPU_WHOLE] = "whole",
};

static void json_object_putp(json_object **o) {
        json_object_put(*o);
}

static void json_tokener_freep(json_tokener **t) {
        if (*t)
                json_tokener_free(*t);
}

/* Takes value over; NULL: out of memory. */
static int put(json_object *o, const char *key, json_object *value) {
        if (!value)
                return -ENOMEM;
        if (json_object_object_add(o, key, value) == 0)
                return 0;

        json_object_put(value);
        return -ENOMEM;
}

static int put_fields(json_object *o, const Field *fields, const void *from) {
        int r = 0;

        for (const Field *f = fields; f->key && r >= 0; f++) {
                const void *p = (const uint8_t *)from + f->offset;

                if (f->kind == FIELD_TEXT && *(const char *)p != '\0')
                        r = put(o, f->key, json_object_new_string(p));
                else if (f->kind == FIELD_U32 && *(const uint32_t *)p != UNKNOWN_U32)
                        r = put(o, f->key, json_object_new_uint64(*(const uint32_t *)p));
                else if (f->kind == FIELD_U64 && *(const uint64_t *)p != UNKNOWN_U64)
                        r = put(o, f->key, json_object_new_uint64(*(const uint64_t *)p));
        }

        return r;
}

static json_object *new_fact(const Fact *fact) {
        switch (fact->kind) {
        case FACT_BOOL:
                return json_object_new_boolean(fact->number != 0);
        case FACT_TEXT:
                return json_object_new_string(fact->text);
        default:
                return json_object_new_uint64(fact->number);
        }
}

static int put_facts(json_object *o, const Facts *facts) {
        int r = 0;

        for (size_t i = 0; i < facts->n && r >= 0; i++)
                r = put(o, facts->items[i].key, new_fact(&facts->items[i]));
        return r;
}

/* A list, as order counts and a name may come twice. */
static int put_attributes(json_object *list, const Attributes *attributes) {
        for (size_t i = 0; i < attributes->n; i++) {
                json_object *item = json_object_new_object();
                int r;

                if (!item || json_object_array_add(list, item) < 0) {
                        json_object_put(item);
                        return -ENOMEM;
                }
                r = put(item, attributes->items[i].name, json_object_new_string(attributes->items[i].value));
                if (r < 0)
                        return r;
        }

        return 0;
}

static int fill(json_object *root, const ImageHeader *header) {
        json_object *gpu = json_object_new_object(), *type = json_object_new_object(), *facts = json_object_new_object(),
                    *attributes = json_object_new_array();
        bool whole;
        int r;

        /* All of them are the root's to free from here on. */
        whole = put(root, "gpu", gpu) >= 0;
        whole = put(root, "type", type) >= 0 && whole;
        whole = put(root, "migration", facts) >= 0 && whole;
        whole = put(root, "attributes", attributes) >= 0 && whole;
        if (!whole)
                return -ENOMEM;

        r = put(root, "kind", json_object_new_string(kinds[header->kind]));
        if (r >= 0)
                r = put_fields(root, header_fields, header);
        if (r >= 0)
                r = put_fields(gpu, gpu_fields, header);
        if (r >= 0)
                r = put_fields(type, type_fields, &header->type);
        if (r >= 0)
                r = put_facts(facts, &header->facts);
        return r < 0 ? r : put_attributes(attributes, &header->attributes);
}

int image_header_format(const ImageHeader *header, char **ret_text, size_t *ret_size) {
        _cleanup_(json_object_putp) json_object *root = NULL;
        const char *text;
        size_t size;
        int r;

        root = json_object_new_object();
        if (!root)
                return -ENOMEM;
        r = fill(root, header);
        if (r < 0)
                return r;

        text = json_object_to_json_string_length(root, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &size);
        if (!text)
                return -ENOMEM;
        if (size > IMAGE_HEADER_MAX)
                return -E2BIG;

        *ret_text = strndup(text, size);
        *ret_size = size;
        return *ret_text ? 0 : -ENOMEM;
}

static int refuse(Error *error, const char *key, const char *what) {
        return error_set(error, -EILSEQ, "The state image's header is not as it should be: \"%.64s\" %s", key, what);
}

/* NULL if it is no string, or none that can be shown. */
static const char *get_text(json_object *value) {
        const char *s;

        if (!json_object_is_type(value, json_type_string))
                return NULL;

        s = json_object_get_string(value);
        return strlen(s) == (size_t)json_object_get_string_len(value) && text_is_printable(s) ? s : NULL;
}

static bool get_number(json_object *value, uint64_t max, uint64_t *ret) {
        /* json-c takes what is negative for 0. */
        if (!json_object_is_type(value, json_type_int) ||
            (json_object_get_int64(value) < 0 && json_object_get_uint64(value) == 0))
                return false;

        *ret = json_object_get_uint64(value);
        return *ret <= max;
}

static int get_field(const Field *f, json_object *value, void *target, Error *error) {
        void *p = (uint8_t *)target + f->offset;
        uint64_t number = 0;
        const char *s;

        if (f->kind == FIELD_TEXT) {
                s = get_text(value);
                if (!s || strlen(s) >= f->size)
                        return refuse(error, f->key, "is no text, or too long");
                memcpy(p, s, strlen(s) + 1);
                return 0;
        }

        if (!get_number(value, f->kind == FIELD_U32 ? UINT32_MAX : UINT64_MAX, &number))
                return refuse(error, f->key, "is no number that fits");
        if (f->kind == FIELD_U32)
                *(uint32_t *)p = (uint32_t)number;
        else
                *(uint64_t *)p = number;
        return 0;
}

static int get_fields(json_object *o, const Field *fields, void *target, Error *error) {
        for (const Field *f = fields; f->key; f++) {
                json_object *value;
                int r;

                if (!json_object_object_get_ex(o, f->key, &value)) {
                        if (f->required)
                                return refuse(error, f->key, "is missing");
                        continue;
                }
                r = get_field(f, value, target, error);
                if (r < 0)
                        return r;
        }

        return 0;
}

static int get_fact(const char *key, json_object *value, Facts *facts, Error *error) {
        uint64_t number = 0;
        int r;

        if (json_object_is_type(value, json_type_boolean))
                r = facts_add_bool(facts, key, json_object_get_boolean(value));
        else if (get_number(value, UINT64_MAX, &number))
                r = facts_add_u64(facts, key, number);
        else if (get_text(value))
                r = facts_add_text(facts, key, get_text(value));
        else
                r = -EINVAL;

        return r == -ENOMEM || r >= 0 ? r : refuse(error, key, "is nothing that is known of migration");
}

static int get_facts(json_object *o, Facts *facts, Error *error) {
        struct json_object_iterator i = json_object_iter_begin(o), end = json_object_iter_end(o);

        for (; !json_object_iter_equal(&i, &end); json_object_iter_next(&i)) {
                int r = get_fact(json_object_iter_peek_name(&i), json_object_iter_peek_value(&i), facts, error);

                if (r < 0)
                        return r;
        }

        return 0;
}

static int get_attribute(json_object *item, Attributes *attributes, Error *error) {
        struct json_object_iterator i;
        const char *value;

        if (!json_object_is_type(item, json_type_object) || json_object_object_length(item) != 1)
                return refuse(error, "attributes", "has an entry that is no object with one key");

        i = json_object_iter_begin(item);
        value = get_text(json_object_iter_peek_value(&i));
        if (!value)
                return refuse(error, "attributes", "has a value that is no text");

        return attributes_add(attributes, json_object_iter_peek_name(&i), value, NULL) == -ENOMEM ? -ENOMEM : 0;
}

static int get_attributes(json_object *list, Attributes *attributes, Error *error) {
        if (json_object_array_length(list) > ATTRIBUTES_MAX)
                return refuse(error, "attributes", "has too many entries");

        for (size_t i = 0; i < json_object_array_length(list); i++) {
                size_t before = attributes->n;
                int r = get_attribute(json_object_array_get_idx(list, i), attributes, error);

                if (r < 0)
                        return r;
                if (attributes->n == before)
                        return refuse(error, "attributes", "has one that cannot be written");
        }

        return 0;
}

static int get_kind(json_object *root, VGpuKind *ret, Error *error) {
        json_object *value;
        const char *s = NULL;

        if (json_object_object_get_ex(root, "kind", &value))
                s = get_text(value);
        for (VGpuKind k = 0; s && k < VGPU_KIND_MAX; k++)
                if (streq(s, kinds[k])) {
                        *ret = k;
                        return 0;
                }

        return refuse(error, "kind", "is none that is known");
}

static int get_object(json_object *root, const char *key, json_type type, json_object **ret, Error *error) {
        if (!json_object_object_get_ex(root, key, ret) || !json_object_is_type(*ret, type))
                return refuse(error, key, "is missing, or of another kind");

        return 0;
}

static int take_apart(json_object *root, ImageHeader *header, Error *error) {
        json_object *gpu = NULL, *type = NULL, *facts = NULL, *attributes = NULL;
        char uuid[UUID_STRING_SIZE];
        int r;

        if (!json_object_is_type(root, json_type_object))
                return error_set(error, -EILSEQ, "The state image's header is no JSON object");

        r = get_object(root, "gpu", json_type_object, &gpu, error);
        if (r >= 0)
                r = get_object(root, "type", json_type_object, &type, error);
        if (r >= 0)
                r = get_object(root, "migration", json_type_object, &facts, error);
        if (r >= 0)
                r = get_object(root, "attributes", json_type_array, &attributes, error);
        if (r >= 0)
                r = get_kind(root, &header->kind, error);
        if (r >= 0)
                r = get_fields(root, header_fields, header, error);
        if (r >= 0)
                r = get_fields(gpu, gpu_fields, header, error);
        if (r >= 0)
                r = get_fields(type, type_fields, &header->type, error);
        if (r >= 0)
                r = get_facts(facts, &header->facts, error);
        if (r >= 0)
                r = get_attributes(attributes, &header->attributes, error);
        if (r < 0)
                return r;

        header->type.kind = header->kind;
        if (text_parse_uuid(header->uuid, uuid) < 0)
                return refuse(error, "uuid", "is none");
        memcpy(header->uuid, uuid, sizeof(uuid));
        return text_is_name(header->type.id) ? 0 : refuse(error, "id", "is no type's");
}

int image_header_parse(const char *text, size_t size, ImageHeader *ret_header, Error *error) {
        _cleanup_(json_tokener_freep) json_tokener *tokener = NULL;
        _cleanup_(json_object_putp) json_object *root = NULL;
        int r;

        if (size > IMAGE_HEADER_MAX)
                return error_set(error, -EILSEQ, "The state image's header is too long");
        tokener = json_tokener_new_ex(JSON_DEPTH_MAX);
        if (!tokener)
                return error_set_errno(error, -ENOMEM, "the state's header cannot be read");

        json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
        root = json_tokener_parse_ex(tokener, text, (int)size);
        if (json_tokener_get_error(tokener) != json_tokener_success || json_tokener_get_parse_end(tokener) != size)
                return error_set(error, -EILSEQ, "The state image's header is no JSON: %s",
                                 json_tokener_error_desc(json_tokener_get_error(tokener)));

        r = take_apart(root, ret_header, error);
        return r == -ENOMEM ? error_set_errno(error, r, "the state's header cannot be read") : r;
}
