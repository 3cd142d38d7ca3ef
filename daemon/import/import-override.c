/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * vgpu_unlock-rs' profile_override.toml, as far as its keys name what a type has; the keys are those of its source,
 * v2.5. Of TOML it reads what such a file holds: tables, and keys with a text, a number or a boolean, each in one line.
 * No library for C is in Debian.
 */

#include <ctype.h>
#include <inttypes.h>
#include <strings.h>

#include "config-type.h"
#include "import/import.h"
#include "util/text.h"

typedef enum ValueKind {
        VALUE_NUMBER, /* a boolean too, as 0 and 1 */
        VALUE_TEXT,
} ValueKind;

typedef struct Value {
        ValueKind kind;
        uint64_t number;
        char text[256];
} Value;

typedef struct Draft {
        Import *import;
        uint32_t line;
        Profile *profile;
        TypeSpec spec; /* of the table that is being read; id 0: it is of no type */
} Draft;

static int report(Draft *draft, ProblemSeverity severity, const char *format, ...) _printf_(3, 4);

static int report(Draft *draft, ProblemSeverity severity, const char *format, ...) {
        _cleanup_(freep) char *message = NULL;
        va_list ap;
        int r;

        va_start(ap, format);
        r = text_formatv(&message, format, ap);
        va_end(ap);
        if (r < 0)
                return r;

        text_sanitize(message);
        if (severity == PROBLEM_ERROR && draft->import->report->n_errors >= CONFIG_FILE_ERRORS_MAX)
                return -EBADMSG;
        return config_report_add(draft->import->report, draft->import->file, draft->line, 1, severity, "%s", message);
}

/* Keys that are numbers, and where these go. */
typedef struct NumberKey {
        const char *name;
        size_t offset;
        size_t size; /* of a boolean too */
        uint64_t unit; /* what one of it is */
        uint64_t max;
} NumberKey;

#define KEY(key, member, unit_, max_)                                                                                  \
        { key, offsetof(TypeSpec, member), sizeof(((TypeSpec *)NULL)->member), unit_, max_ }

static const NumberKey number_keys[] = {
        KEY("max_instances", max_instances, 1, INSTANCES_MAX),
        KEY("num_displays", heads, 1, HEADS_MAX),
        KEY("display_width", max_width, 1, PIXELS_MAX),
        KEY("display_height", max_height, 1, PIXELS_MAX),
        KEY("frl_config", frame_limit, 1, FRAMES_MAX),
        KEY("frl_enabled", limiter, 1, UINT32_MAX), /* any but 0, as that program takes it */
        KEY("ecc_supported", ecc, 1, 1),
        KEY("multi_vgpu_supported", multi_vgpu, 1, 1),
        KEY("pci_id", vdev_id, 1, UINT32_MAX),
        KEY("pci_device_id", pdev_id, 1, UINT32_MAX),
        KEY("framebuffer", framebuffer, 1, MEMORY_MAX),
        KEY("framebuffer_reservation", reserved, 1, MEMORY_MAX),
        KEY("mappable_video_size", mappable_video, 1, MEMORY_MAX),
        KEY("bar1_length", bar1, MIB, MEMORY_MAX / MIB),
        KEY("encoder_capacity", encoder_percent, 1, 100),
};

typedef struct TextKey {
        const char *name;
        size_t offset;
        size_t size;
} TextKey;

static const TextKey text_keys[] = {
        { "card_name", offsetof(TypeSpec, name), TYPE_NAME_SIZE },
        { "vgpu_type", offsetof(TypeSpec, class), TYPE_CLASS_SIZE },
        { "features", offsetof(TypeSpec, nvidia_license), NVIDIA_LICENSE_SIZE },
};

static void store_number(void *target, size_t size, uint64_t number) {
        switch (size) {
        case sizeof(bool):
                *(bool *)target = number != 0;
                break;
        case sizeof(uint32_t):
                *(uint32_t *)target = (uint32_t)number;
                break;
        default:
                *(uint64_t *)target = number;
        }
}

static int set_number(Draft *draft, const NumberKey *key, const Value *value) {
        if (value->kind != VALUE_NUMBER || value->number > key->max)
                return report(draft, PROBLEM_ERROR, "%s: is not a number up to %" PRIu64, key->name, key->max);

        store_number((char *)&draft->spec + key->offset, key->size, value->number * key->unit);
        return 0;
}

static int set_text(Draft *draft, const TextKey *key, const Value *value) {
        if (value->kind != VALUE_TEXT || !value->text[0] || strlen(value->text) >= key->size ||
            !text_is_printable(value->text))
                return report(draft, PROBLEM_ERROR, "%s: is not a printable text of at most %zu bytes", key->name,
                              key->size - 1);

        strcpy((char *)&draft->spec + key->offset, value->text);
        return 0;
}

static int set_value(Draft *draft, const char *key, const Value *value) {
        if (draft->spec.id == 0) /* said when the table began */
                return 0;

        for (size_t i = 0; i < ELEMENTSOF(number_keys); i++)
                if (streq(key, number_keys[i].name))
                        return set_number(draft, &number_keys[i], value);
        for (size_t i = 0; i < ELEMENTSOF(text_keys); i++)
                if (streq(key, text_keys[i].name))
                        return set_text(draft, &text_keys[i], value);

        return report(draft, PROBLEM_WARNING, "%.40s: has no equivalent", key);
}

/* What override keys leave alone stays the driver's; a type of one's own has to say all of it. */
static int finish_type(Draft *draft) {
        int r;

        if (draft->spec.id == 0)
                return 0;

        if (draft->spec.max_instances == 0 || draft->spec.framebuffer == 0)
                r = report(draft, PROBLEM_WARNING,
                           "profile nvidia-%" PRIu32 " changes a type of the driver's; a type of one's own needs "
                           "%s%s%s besides, so that it stands in a comment",
                           draft->spec.id, draft->spec.framebuffer == 0 ? "framebuffer" : "",
                           draft->spec.framebuffer == 0 && draft->spec.max_instances == 0 ? " and " : "",
                           draft->spec.max_instances == 0 ? "max-instances" : "");
        else if (draft->spec.framebuffer % MIB != 0)
                r = report(draft, PROBLEM_ERROR, "framebuffer: is not a multiple of 1MiB");
        else
                r = 0;
        if (r < 0)
                return r;

        r = profile_add_type(draft->profile, &draft->spec);
        if (r == -EEXIST || r == -E2BIG)
                r = report(draft, PROBLEM_ERROR, "profile nvidia-%" PRIu32 " is given twice, or is one too many",
                           draft->spec.id);
        return r;
}

static int begin_table(Draft *draft, const char *name) {
        unsigned long id;
        char *end;
        int r;

        r = finish_type(draft);
        if (r < 0)
                return r;

        draft->spec = (TypeSpec){};
        id = strncmp(name, "profile.nvidia-", 15) == 0 && isdigit((unsigned char)name[15])
                     ? strtoul(name + 15, &end, 10)
                     : 0;
        if (id == 0 || id > UINT32_MAX || *end)
                return report(draft, PROBLEM_WARNING,
                              "[%.60s]: has no equivalent; mdevgpud has types, and nothing that "
                              "changes one for a single VM",
                              name);

        draft->spec = (TypeSpec){
                .id = (uint32_t)id,
                .line = draft->line,
                .class = "Quadro",
                .encoder_percent = 100,
                .heads = 1,
                .max_width = 1920,
                .max_height = 1080,
                .frame_limit = 60,
                .limiter = true,
        };
        (void)snprintf(draft->spec.name, sizeof(draft->spec.name), "nvidia-%lu", id);
        return 0;
}

static char *skip_blanks(char *s) {
        return s + strspn(s, " \t");
}

/* What may stand behind something: nothing, or a comment. */
static bool is_rest(char *s) {
        s = skip_blanks(s);
        return *s == '\0' || *s == '#';
}

/* "…" with \" and \\, or '…' as it stands; *end is what follows. */
static int parse_text(char *s, char *buffer, size_t size, char **ret_end) {
        char quote = *s++;
        size_t n = 0;

        for (; *s && *s != quote; s++) {
                if (quote == '"' && *s == '\\' && (s[1] == '"' || s[1] == '\\'))
                        s++;
                if (n + 1 >= size)
                        return -EINVAL;
                buffer[n++] = *s;
        }
        if (*s != quote)
                return -EINVAL;

        buffer[n] = '\0';
        *ret_end = s + 1;
        return 0;
}

/* Decimal or hexadecimal, with TOML's underscores. */
static int parse_number(char *s, uint64_t *ret, char **ret_end) {
        char digits[32];
        size_t n = 0;

        for (; isalnum((unsigned char)*s) || *s == '_'; s++) {
                if (*s == '_')
                        continue;
                if (n + 1 >= sizeof(digits))
                        return -EINVAL;
                digits[n++] = *s;
        }
        digits[n] = '\0';
        *ret_end = s;

        if (streq(digits, "true") || streq(digits, "false")) {
                *ret = digits[0] == 't';
                return 0;
        }
        return config_number_parse(digits, ret);
}

static int parse_value(char *s, Value *ret) {
        char *end;
        int r;

        *ret = (Value){ .kind = *s == '"' || *s == '\'' ? VALUE_TEXT : VALUE_NUMBER };
        if (ret->kind == VALUE_NUMBER)
                r = parse_number(s, &ret->number, &end);
        else
                r = parse_text(s, ret->text, sizeof(ret->text), &end);
        if (r < 0 || !is_rest(end))
                return -EINVAL;

        /* A size for people, as that program takes it: a text with a unit. */
        if (ret->kind == VALUE_TEXT && isdigit((unsigned char)ret->text[0])) {
                if (config_size_parse(ret->text, &ret->number) >= 0 ||
                    config_number_parse(ret->text, &ret->number) >= 0)
                        ret->kind = VALUE_NUMBER;
        }
        return 0;
}

static int read_table(Draft *draft, char *s) {
        char *end = strchr(s, ']');
        char name[128];
        size_t n = 0;

        if (s[1] == '[' || !end || !is_rest(end + 1))
                return report(draft, PROBLEM_ERROR, "is not the head of a table such as [profile.nvidia-55]");

        for (s++; s < end; s++)
                if (*s != ' ' && *s != '"' && *s != '\'' && n + 1 < sizeof(name))
                        name[n++] = *s;
        name[n] = '\0';
        return begin_table(draft, name);
}

static int read_line(Draft *draft, char *s) {
        Value value;
        char *equals;
        size_t n;

        s = skip_blanks(s);
        if (is_rest(s))
                return 0;
        if (*s == '[')
                return read_table(draft, s);

        n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
        equals = skip_blanks(s + n);
        if (n == 0 || *equals != '=' || parse_value(skip_blanks(equals + 1), &value) < 0)
                return report(
                        draft, PROBLEM_ERROR,
                        "is not a key, = and a text, a number or a boolean, all in one line; of TOML nothing else "
                        "is read");

        s[n] = '\0';
        return set_value(draft, s, &value);
}

static int read_lines(Draft *draft, char *text) {
        char *line;
        int r = 0;

        while (r >= 0 && (line = strsep(&text, "\n"))) {
                size_t n = strlen(line);

                draft->line++;
                if (n > 0 && line[n - 1] == '\r')
                        line[n - 1] = '\0';
                r = read_line(draft, line);
        }

        return r < 0 ? r : finish_type(draft);
}

int import_profile_override(Import *import) {
        size_t n_errors = import->report->n_errors;
        _cleanup_(profile_freep) Profile *profile = NULL;
        Draft draft = { .import = import };
        _cleanup_(freep) char *text = NULL;
        ProfileMatch *match;
        int r;

        text = strndup(import->text, import->size);
        profile = profile_new(import->file);
        if (!text || !profile)
                return -ENOMEM;

        match = profile_add_match(profile);
        if (!match)
                return -ENOMEM;
        match->any_vendor = false;
        match->vendor = 0x10de;

        draft.profile = profile;
        r = read_lines(&draft, text);
        if (r < 0)
                return r;

        r = profile_set_add(import->profiles, profile);
        if (r < 0)
                return r;

        profile = NULL;
        return import->report->n_errors > n_errors ? -EBADMSG : 0;
}
