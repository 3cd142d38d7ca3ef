/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>

#include "config-type.h"

/* NVIDIA's drivers up to 575 hold 32 bytes with the NUL (observed in NVIDIA's open kernel modules). */
#define OLD_NAME_SIZE 32U

int config_read_type_id(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        TypeDraft *draft = target;

        draft->id_mark = item->mark;
        return config_read_u32(reader, field, item, target);
}

int config_read_type_name(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        TypeDraft *draft = target;
        size_t n;
        int r;

        draft->name_mark = item->mark;
        r = config_read_text(reader, field, item, target);
        if (r < 0)
                return r;

        n = strlen(draft->spec.name);
        if (n < OLD_NAME_SIZE)
                return 0;

        return config_warning(reader, item->mark, "%s: is %zu bytes long; NVIDIA's drivers up to 575 hold only %u",
                              field->name, n, OLD_NAME_SIZE - 1);
}

/* A name that two types have is no error, only a nuisance: the interface asks which of them is meant. */
static int check_names(ConfigReader *reader, const TypeSchema *schema, const Profile *profile, const TypeDraft *draft) {
        if (!draft->spec.name[0])
                return 0;

        for (size_t i = 0; i < profile->n_types; i++)
                if (streq(profile->types[i].name, draft->spec.name))
                        return config_warning(reader, draft->name_mark,
                                              "%s: '%s' is already the name of type %" PRIu32 " in line %" PRIu32
                                              "; both will have to be asked for by id",
                                              schema->name, draft->spec.name, profile->types[i].id,
                                              profile->types[i].line);

        return 0;
}

static int check_sizes(ConfigReader *reader, const TypeSchema *schema, ConfigMark begin, const TypeDraft *draft) {
        ConfigSizeText framebuffer = config_size_format(draft->spec.framebuffer);

        if (draft->spec.framebuffer == 0 || draft->spec.mappable_video <= draft->spec.framebuffer)
                return 0;
        if (draft->mappable_mark.line == 0)
                return config_error(reader, begin, "%s: %s, as it is not given, is more than the framebuffer, %s",
                                    schema->mappable, config_size_format(draft->spec.mappable_video).text,
                                    framebuffer.text);

        return config_error(reader, draft->mappable_mark, "%s: is more than the framebuffer, %s", schema->mappable,
                            framebuffer.text);
}

static int report_duplicate(ConfigReader *reader, const TypeSchema *schema, const Profile *profile,
                            const TypeDraft *draft) {
        for (size_t i = 0; i < profile->n_types; i++)
                if (profile->types[i].id == draft->spec.id)
                        return config_error(reader, draft->id_mark,
                                            "%s: %" PRIu32 " is already the %s of the type in line %" PRIu32,
                                            schema->id, draft->spec.id, schema->id, profile->types[i].line);

        assert(false);
        return -EINVAL;
}

static int read_type(ConfigReader *reader, const ConfigItem *item, const TypeSchema *schema, Profile *profile) {
        TypeDraft draft = { .spec = schema->defaults };
        int r;

        draft.spec.line = item->mark.line;
        draft.name_mark = item->mark; /* a default name has no place of its own */
        r = config_read_fields(reader, "type", schema->fields, item, &draft);
        if (r < 0)
                return r;

        r = check_sizes(reader, schema, item->mark, &draft);
        if (r < 0)
                return r;

        /* Without an id it is an error already, and nothing that others could be compared with. */
        if (draft.spec.id == 0)
                return 0;

        r = check_names(reader, schema, profile, &draft);
        if (r < 0)
                return r;

        r = profile_add_type(profile, &draft.spec);
        if (r == -EEXIST)
                return report_duplicate(reader, schema, profile, &draft);
        if (r == -E2BIG) {
                r = config_error(reader, item->mark, "more than %u types; the rest of the file has not been looked at",
                                 PROFILE_TYPES_MAX);
                return r < 0 ? r : -EBADMSG;
        }

        return r;
}

int config_read_types(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, const TypeSchema *schema,
                      Profile *profile) {
        ConfigMark begin = item->mark;
        ConfigItem element;
        size_t n = 0;
        int r;

        r = config_expect(reader, field->name, item, CONFIG_ITEM_LIST);
        if (r <= 0)
                return r;

        for (;; n++) {
                r = config_reader_next(reader, &element);
                if (r < 0)
                        return r;
                if (element.kind == CONFIG_ITEM_END)
                        break;

                r = read_type(reader, &element, schema, profile);
                if (r < 0)
                        return r;
        }

        return n > 0 ? 0 : config_warning(reader, begin, "%s: is empty, this profile offers nothing", field->name);
}
