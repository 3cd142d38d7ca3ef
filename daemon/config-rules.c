/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The part of mdevgpud.yaml that says who may have what: within which bounds, and what holds where it says nothing.
 */

#include <inttypes.h>

#include "config-names.h"
#include "config-rules.h"
#include "config-value.h"
#include "core/backend.h"
#include "util/text.h"

typedef struct RulesDraft {
        RuleSet *set;
        const char *root; /* whose users and groups they are */
} RulesDraft;

/* What is being read of a rule of either kind. */
typedef struct RuleDraft {
        const char *root;
        RuleSubject subject;
        ConfigMark user_mark;
        ConfigMark group_mark;
        LimitRule limit;
        UseRule use;
} RuleDraft;

static int stop(ConfigReader *reader, ConfigMark mark, const char *what, unsigned max) {
        int r;

        r = config_error(reader, mark, "more than %u %s; the rest of the file has not been looked at", max, what);
        return r < 0 ? r : -EBADMSG;
}

static int read_subject(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, RuleDraft *draft,
                        RuleWho who) {
        const char *path = who == RULE_USER ? "/etc/passwd" : "/etc/group";
        RuleSubject *subject = &draft->subject;
        int r;

        r = config_expect(reader, field->name, item, CONFIG_ITEM_SCALAR);
        if (r <= 0)
                return r;
        if (item->text[0] == '\0' || strlen(item->text) >= RULE_NAME_SIZE || !text_is_printable(item->text))
                return config_value_error(reader, field->name, item, "is not a name or a number");

        r = (who == RULE_USER ? config_find_user : config_find_group)(draft->root, item->text, &subject->id);
        if (r == -ENOMEM)
                return r;
        if (r == -ENOENT)
                return config_value_error(reader, field->name, item,
                                          "is not in %s%s; write the number of one that comes from elsewhere",
                                          draft->root, path);
        if (r < 0)
                return config_value_error(reader, field->name, item, "cannot be looked up in %s%s: %s", draft->root,
                                          path, strerrordesc_np(-r) ?: "unknown error");

        subject->who = who;
        (void)text_copy(subject->name, sizeof(subject->name), item->text);
        return 0;
}

static int read_user(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        RuleDraft *draft = target;

        draft->user_mark = item->mark;
        return read_subject(reader, field, item, draft, RULE_USER);
}

static int read_group(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        RuleDraft *draft = target;

        draft->group_mark = item->mark;
        return read_subject(reader, field, item, draft, RULE_GROUP);
}

static int read_patterns(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, void *target) {
        RulePatterns *patterns = config_field_target(field, target);
        ConfigItem element;
        int r;

        r = config_expect(reader, field->name, item, CONFIG_ITEM_LIST);
        if (r <= 0)
                return r;

        patterns->any = false;
        for (;;) {
                r = config_reader_next(reader, &element);
                if (r < 0 || element.kind == CONFIG_ITEM_END)
                        return r;

                r = config_expect(reader, field->name, &element, CONFIG_ITEM_SCALAR);
                if (r > 0 &&
                    (element.text[0] == '\0' || strlen(element.text) > 255 || !text_is_printable(element.text)))
                        r = config_value_error(reader, field->name, &element, "is not a pattern of at most 255 bytes");
                else if (r > 0) {
                        r = rule_patterns_add(patterns, element.text);
                        if (r == -E2BIG)
                                r = stop(reader, element.mark, "patterns", RULE_PATTERNS_MAX);
                }
                if (r < 0)
                        return r;
        }
}

static const ConfigField limit_fields[] = {
        { "user", read_user },
        { "group", read_group },
        { "vgpus", config_read_u32, offsetof(RuleDraft, limit.vgpus), .max = UNKNOWN_U32 - 1 },
        { "framebuffer", config_read_size, offsetof(RuleDraft, limit.framebuffer), .max = 1024 * TIB },
        {},
};

static const ConfigField use_fields[] = {
        { "user", read_user },
        { "group", read_group },
        { "types", read_patterns, offsetof(RuleDraft, use.types) },
        { "gpus", read_patterns, offsetof(RuleDraft, use.gpus) },
        {},
};

/* Of two limits for the same the later would be lost, or the earlier, and nobody would know which. */
static const LimitRule *find_limit(const RuleSet *set, const RuleSubject *subject) {
        for (size_t i = 0; i < set->n_limits; i++)
                if (set->limits[i].subject.who == subject->who && set->limits[i].subject.id == subject->id)
                        return &set->limits[i];

        return NULL;
}

/* 1: it speaks of just one. */
static int check_subject(ConfigReader *reader, const RuleDraft *draft) {
        if (draft->user_mark.line == 0 || draft->group_mark.line == 0)
                return 1;

        return config_error(reader, draft->group_mark, "group: a rule is for a user or for a group, not for both");
}

static int check_limit(ConfigReader *reader, RulesDraft *draft, const RuleDraft *rule, ConfigMark mark) {
        const LimitRule *known = find_limit(draft->set, &rule->limit.subject);

        if (rule->limit.vgpus == UNKNOWN_U32 && rule->limit.framebuffer == UNKNOWN_U64)
                return config_error(reader, mark, "limit: one of the keys 'vgpus' and 'framebuffer' is required");
        if (known)
                return config_error(reader, mark, "limit: line %" PRIu32 " has one for the same %s already",
                                    known->line,
                                    known->subject.who == RULE_USER    ? "user"
                                    : known->subject.who == RULE_GROUP ? "group"
                                                                       : "users, which is everybody");

        return rule_set_add_limit(draft->set, &rule->limit);
}

static int read_limit(ConfigReader *reader, const ConfigItem *item, RulesDraft *draft) {
        const ConfigMark mark = item->mark;
        size_t n_errors = config_reader_n_errors(reader);
        RuleDraft rule = {
                .root = draft->root,
                .limit = { .vgpus = UNKNOWN_U32, .framebuffer = UNKNOWN_U64, .line = mark.line },
        };
        int r;

        r = config_read_fields(reader, "limit", limit_fields, item, &rule);
        if (r >= 0)
                r = check_subject(reader, &rule);
        if (r < 0 || config_reader_n_errors(reader) > n_errors) /* what is wrong says nothing of the rest */
                return MIN(r, 0);

        rule.limit.subject = rule.subject;
        r = check_limit(reader, draft, &rule, mark);
        return r == -E2BIG ? stop(reader, mark, "rules", RULES_MAX) : r;
}

static int read_use(ConfigReader *reader, const ConfigItem *item, RulesDraft *draft) {
        const ConfigMark mark = item->mark;
        size_t n_errors = config_reader_n_errors(reader);
        RuleDraft rule = {
                .root = draft->root,
                .use = { .types.any = true, .gpus.any = true, .line = mark.line },
        };
        int r;

        r = config_read_fields(reader, "rule", use_fields, item, &rule);
        if (r >= 0)
                r = check_subject(reader, &rule);
        if (r > 0 && config_reader_n_errors(reader) == n_errors && rule.use.types.any && rule.use.gpus.any)
                r = config_error(reader, mark, "rule: one of the keys 'types' and 'gpus' is required");
        if (r >= 0 && config_reader_n_errors(reader) == n_errors) {
                rule.use.subject = rule.subject;
                r = rule_set_add_use(draft->set, &rule.use);
                if (r >= 0)
                        return 0;
        }

        rule_patterns_done(&rule.use.types);
        rule_patterns_done(&rule.use.gpus);
        return r == -E2BIG ? stop(reader, mark, "rules", RULES_MAX) : MIN(r, 0);
}

static int read_list(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, RulesDraft *draft,
                     int (*read_element)(ConfigReader *reader, const ConfigItem *item, RulesDraft *draft)) {
        ConfigItem element;
        int r;

        r = config_expect(reader, field->name, item, CONFIG_ITEM_LIST);
        if (r <= 0)
                return r;

        for (;;) {
                r = config_reader_next(reader, &element);
                if (r < 0 || element.kind == CONFIG_ITEM_END)
                        return r;

                r = read_element(reader, &element, draft);
                if (r < 0)
                        return r;
        }
}

int config_read_limits(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, RuleSet *set,
                       const char *root) {
        RulesDraft draft = { .set = set, .root = root };

        return read_list(reader, field, item, &draft, read_limit);
}

int config_read_policy(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, RuleSet *set,
                       const char *root) {
        RulesDraft draft = { .set = set, .root = root };

        return read_list(reader, field, item, &draft, read_use);
}
