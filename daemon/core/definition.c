/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <json-c/json.h>

#include "core/definition.h"
#include "util/text.h"

/* Three levels are what a definition has; more is refused before it is taken apart. */
#define JSON_DEPTH_MAX 8

static void json_object_putp(json_object **o) {
        json_object_put(*o);
}

static void json_tokener_freep(json_tokener **t) {
        if (*t)
                json_tokener_free(*t);
}

const char *definition_folder(VGpuKind kind) {
        return kind == VGPU_MDEV ? "mdevctl.d" : "mdevgpud/vgpus.d";
}

int definition_copy(const Definition *definition, Definition *ret) {
        Definition copy = *definition;
        int r;

        copy.attributes = (Attributes){};
        r = attributes_copy(&definition->attributes, &copy.attributes);
        if (r < 0)
                return r;

        *ret = copy;
        return 0;
}

bool definition_equal(const Definition *a, const Definition *b) {
        return streq(a->parent, b->parent) && streq(a->type_id, b->type_id) && a->kind == b->kind &&
               a->autostart == b->autostart && attributes_equal(&a->attributes, &b->attributes);
}

void definition_done(Definition *definition) {
        attributes_done(&definition->attributes);
        *definition = (Definition){};
}

/* NULL if it is no string, or one with a NUL in it. */
static const char *json_text(json_object *value) {
        const char *s;

        if (!json_object_is_type(value, json_type_string))
                return NULL;

        s = json_object_get_string(value);
        return strlen(s) == (size_t)json_object_get_string_len(value) ? s : NULL;
}

static int read_attribute(json_object *item, Attributes *attributes, Error *error) {
        struct json_object_iterator i;
        const char *value;

        if (!json_object_is_type(item, json_type_object) || json_object_object_length(item) != 1)
                return error_set(error, -EBADMSG, "an entry of \"attrs\" is no object with one key");

        i = json_object_iter_begin(item);
        value = json_text(json_object_iter_peek_value(&i));
        if (!value)
                return error_set(error, -EBADMSG, "the value of attribute '%.64s' is no string",
                                 json_object_iter_peek_name(&i));

        return attributes_add(attributes, json_object_iter_peek_name(&i), value, error);
}

static int read_attributes(json_object *root, Attributes *attributes, Error *error) {
        json_object *list;
        int r;

        if (!json_object_object_get_ex(root, "attrs", &list) || json_object_is_type(list, json_type_null))
                return 0;
        if (!json_object_is_type(list, json_type_array))
                return error_set(error, -EBADMSG, "\"attrs\" is no array");

        for (size_t i = 0; i < json_object_array_length(list); i++) {
                r = read_attribute(json_object_array_get_idx(list, i), attributes, error);
                if (r < 0)
                        return r;
        }

        return 0;
}

static int read_kind(json_object *root, Definition *definition, Error *error) {
        json_object *value;
        const char *s;

        s = json_object_object_get_ex(root, "kind", &value) ? json_text(value) : NULL;
        if (s && streq(s, "whole"))
                definition->kind = VGPU_WHOLE;
        else if (s && streq(s, "vf"))
                definition->kind = VGPU_VF;
        else
                return error_set(error, -EBADMSG, "it has no \"kind\" that is \"vf\" or \"whole\"");

        return 0;
}

static int read_fields(json_object *root, Definition *definition, Error *error) {
        const char *key = definition->kind == VGPU_MDEV ? "mdev_type" : "type", *s;
        json_object *value;
        int r;

        if (!json_object_is_type(root, json_type_object))
                return error_set(error, -EBADMSG, "it is no JSON object");

        r = definition->kind == VGPU_MDEV ? 0 : read_kind(root, definition, error);
        if (r < 0)
                return r;
        s = json_object_object_get_ex(root, key, &value) ? json_text(value) : NULL;
        if (!s)
                return error_set(error, -EBADMSG, "it has no \"%s\" that is a string", key);
        if (!text_is_name(s) || !text_copy(definition->type_id, sizeof(definition->type_id), s))
                return error_set(error, -EBADMSG, "its \"%s\" is no name of a type", key);

        /* As mdevctl does: it must be there, and whatever is not "auto" means manual. */
        if (!json_object_object_get_ex(root, "start", &value) || json_object_is_type(value, json_type_null))
                return error_set(error, -EBADMSG, "it has no \"start\"");
        s = json_text(value);
        definition->autostart = s && streq(s, "auto");

        return read_attributes(root, &definition->attributes, error);
}

static int parse_json(const char *text, size_t size, json_object **ret_root, Error *error) {
        _cleanup_(json_tokener_freep) json_tokener *tokener = json_tokener_new_ex(JSON_DEPTH_MAX);
        enum json_tokener_error code;

        if (!tokener)
                return error_set_errno(error, -ENOMEM, "it cannot be read");

        /* Without its NUL there is no end of a number or a word that stands alone: neither is a definition. */
        json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
        *ret_root = json_tokener_parse_ex(tokener, text, (int)size);
        code = json_tokener_get_error(tokener);
        if (code == json_tokener_continue)
                return error_set(error, -EBADMSG, "it is not complete JSON");
        if (code != json_tokener_success)
                return error_set(error, -EBADMSG, "it is no JSON: %s, at byte %zu", json_tokener_error_desc(code),
                                 json_tokener_get_parse_end(tokener) + 1);

        for (size_t i = json_tokener_get_parse_end(tokener); i < size; i++)
                if (!strchr(" \t\r\n", text[i]) || text[i] == '\0')
                        return error_set(error, -EBADMSG, "something follows the JSON, at byte %zu", i + 1);

        return 0;
}

int definition_parse(const char *text, size_t size, Definition *ret, Error *error) {
        _cleanup_(json_object_putp) json_object *root = NULL;
        Definition definition = { .kind = ret->kind };
        int r;

        if (size == 0)
                return error_set(error, -EBADMSG, "it is empty");
        if (size > DEFINITION_TEXT_MAX)
                return error_set(error, -E2BIG, "it is larger than %zu bytes", DEFINITION_TEXT_MAX);

        r = parse_json(text, size, &root, error);
        if (r >= 0)
                r = read_fields(root, &definition, error);
        if (r < 0) {
                attributes_done(&definition.attributes);
                return r;
        }

        memcpy(definition.parent, ret->parent, sizeof(definition.parent));
        *ret = definition;
        return 0;
}

/* As serde_json does, with which mdevctl writes: nothing is escaped that need not be. */
static void put_string(FILE *f, const char *s) {
        (void)fputc('"', f);
        for (; *s; s++)
                if (*s == '"' || *s == '\\')
                        (void)fprintf(f, "\\%c", *s);
                else
                        (void)fputc(*s, f);
        (void)fputc('"', f);
}

static void put_attributes(FILE *f, const Attributes *attributes) {
        (void)fputs("  \"attrs\": [", f);
        for (size_t i = 0; i < attributes->n; i++) {
                (void)fprintf(f, "%s\n    {\n      ", i > 0 ? "," : "");
                put_string(f, attributes->items[i].name);
                (void)fputs(": ", f);
                put_string(f, attributes->items[i].value);
                (void)fputs("\n    }", f);
        }
        (void)fputs(attributes->n > 0 ? "\n  ]\n" : "]\n", f);
}

int definition_format(const Definition *definition, char **ret_text) {
        char *text = NULL;
        size_t size;
        bool failed;
        FILE *f;

        f = open_memstream(&text, &size);
        if (!f)
                return -ENOMEM;

        if (definition->kind == VGPU_MDEV)
                (void)fputs("{\n  \"mdev_type\": ", f);
        else
                (void)fprintf(f,
                              "{\n  \"kind\": \"%s\",\n  \"type\": ", definition->kind == VGPU_WHOLE ? "whole" : "vf");
        put_string(f, definition->type_id);
        (void)fprintf(f, ",\n  \"start\": \"%s\",\n", definition->autostart ? "auto" : "manual");
        put_attributes(f, &definition->attributes);
        (void)fputc('}', f);

        failed = ferror(f);
        if (fclose(f) != 0 || failed) {
                free(text);
                return -ENOMEM;
        }

        *ret_text = text;
        return 0;
}
