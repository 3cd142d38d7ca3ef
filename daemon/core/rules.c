/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fnmatch.h>
#include <inttypes.h>

#include "core/backend.h"
#include "core/rules.h"
#include "util/text.h"

#define MIB (UINT64_C(1) << 20)

RuleSet *rule_set_new(const char *file) {
        RuleSet *set;

        set = calloc(1, sizeof(RuleSet));
        if (!set)
                return NULL;

        set->file = strdup(file);
        return set->file ? set : rule_set_free(set);
}

void rule_patterns_done(RulePatterns *patterns) {
        for (size_t i = 0; i < patterns->n; i++)
                free(patterns->items[i]);
        free(patterns->items);
        *patterns = (RulePatterns){};
}

RuleSet *rule_set_free(RuleSet *set) {
        if (!set)
                return NULL;

        for (size_t i = 0; i < set->n_uses; i++) {
                rule_patterns_done(&set->uses[i].types);
                rule_patterns_done(&set->uses[i].gpus);
        }
        free(set->uses);
        free(set->limits);
        free(set->file);
        free(set);
        return NULL;
}

int rule_set_add_limit(RuleSet *set, const LimitRule *rule) {
        LimitRule *limits;

        if (set->n_limits + set->n_uses >= RULES_MAX)
                return -E2BIG;
        limits = reallocarray(set->limits, set->n_limits + 1, sizeof(LimitRule));
        if (!limits)
                return -ENOMEM;

        set->limits = limits;
        limits[set->n_limits++] = *rule;
        return 0;
}

int rule_set_add_use(RuleSet *set, const UseRule *rule) {
        UseRule *uses;

        if (set->n_limits + set->n_uses >= RULES_MAX)
                return -E2BIG;
        uses = reallocarray(set->uses, set->n_uses + 1, sizeof(UseRule));
        if (!uses)
                return -ENOMEM;

        set->uses = uses;
        uses[set->n_uses++] = *rule;
        return 0;
}

int rule_patterns_add(RulePatterns *patterns, const char *pattern) {
        char **items;

        if (patterns->n >= RULE_PATTERNS_MAX)
                return -E2BIG;
        items = reallocarray(patterns->items, patterns->n + 1, sizeof(char *));
        if (!items)
                return -ENOMEM;

        patterns->items = items;
        items[patterns->n] = strdup(pattern);
        if (!items[patterns->n])
                return -ENOMEM;

        patterns->n++;
        return 0;
}

static bool is_in(const gid_t *groups, size_t n_groups, uint32_t group) {
        for (size_t i = 0; i < n_groups; i++)
                if (groups[i] == group)
                        return true;

        return false;
}

/* Root is spoken of by his own name alone. */
static bool speaks_of(const RuleSubject *subject, uid_t uid, const gid_t *groups, size_t n_groups) {
        switch (subject->who) {
        case RULE_USER:
                return subject->id == uid;
        case RULE_GROUP:
                return uid != 0 && is_in(groups, n_groups, subject->id);
        default:
                return uid != 0;
        }
}

static bool speaks_of_caller(const RuleSubject *subject, const Caller *caller) {
        return speaks_of(subject, caller->uid, caller->groups, caller->n_groups);
}

static bool limits_speak_of(const RuleSet *set, gid_t group) {
        for (size_t i = 0; set && i < set->n_limits; i++)
                if (set->limits[i].subject.who == RULE_GROUP && set->limits[i].subject.id == group)
                        return true;

        return false;
}

Owner caller_get_owner(const Caller *caller, const RuleSet *set) {
        Owner owner = { .known = true, .uid = caller->uid };

        for (int limited = 1; limited >= 0; limited--)
                for (size_t i = 0; i < caller->n_groups && owner.n_groups < OWNER_GROUPS_MAX; i++)
                        if (limits_speak_of(set, caller->groups[i]) == (bool)limited)
                                owner.groups[owner.n_groups++] = caller->groups[i];

        return owner;
}

Caller owner_get_caller(const Owner *owner) {
        return (Caller){
                .uid = owner->uid,
                .groups = owner->groups,
                .n_groups = owner->n_groups,
                .groups_known = true,
        };
}

static bool matches(const RulePatterns *patterns, const char *word) {
        for (size_t i = 0; i < patterns->n; i++)
                if (fnmatch(patterns->items[i], word, FNM_NOESCAPE) == 0)
                        return true;

        return patterns->any;
}

static bool allows(const UseRule *rule, const RuleDemand *demand) {
        return matches(&rule->gpus, demand->gpu) &&
               (matches(&rule->types, demand->type_id) ||
                (demand->type_name[0] != '\0' && matches(&rule->types, demand->type_name)));
}

/* Who is spoken of by no rule may use everything, and else what one of those that speak of him allows. */
static int judge_use(const RuleSet *set, const Caller *caller, const RuleDemand *demand, Error *error) {
        const UseRule *first = NULL;
        size_t n = 0;

        for (size_t i = 0; i < set->n_uses; i++) {
                const UseRule *rule = &set->uses[i];

                if (!speaks_of_caller(&rule->subject, caller))
                        continue;
                if (allows(rule, demand))
                        return 0;
                first = first ?: rule;
                n++;
        }

        if (n == 0)
                return 0;
        if (n == 1)
                return error_set(error, -EACCES, "User %u may not use type %s on GPU %s: %s:%u does not allow it",
                                 caller->uid, demand->type_id, demand->gpu, set->file, first->line);
        return error_set(error, -EACCES,
                         "User %u may not use type %s on GPU %s: neither %s:%u nor another of the %zu rules for this "
                         "user allows it",
                         caller->uid, demand->type_id, demand->gpu, set->file, first->line, n);
}

/* What somebody has, or asks for. */
typedef struct Sum {
        uint32_t vgpus;
        uint64_t framebuffer;
        bool unknown; /* it is more framebuffer than that */
} Sum;

static void add(Sum *sum, uint64_t framebuffer) {
        sum->vgpus++;
        if (framebuffer == UNKNOWN_U64 || __builtin_add_overflow(sum->framebuffer, framebuffer, &sum->framebuffer))
                sum->unknown = true;
}

/* Whether a vGPU is among those that this limit counts where it is the caller's. */
static bool counts(const LimitRule *rule, const Caller *caller, const Owner *owner) {
        if (!owner->known)
                return false;
        if (rule->subject.who == RULE_GROUP)
                return speaks_of(&rule->subject, owner->uid, owner->groups, owner->n_groups);

        return owner->uid == caller->uid;
}

/* "User 1000", "The users of group 'vms' together" */
static void format_subject(const RuleSubject *subject, uid_t uid, char *buffer, size_t size) {
        if (subject->who == RULE_GROUP)
                (void)snprintf(buffer, size, "The users of group '%.64s' together", subject->name);
        else
                (void)snprintf(buffer, size, "User %u", uid);
}

static int judge_limit(const RuleSet *set, const LimitRule *rule, const Caller *caller, const Sum *has, const Sum *asks,
                       Error *error) {
        char who[128];

        format_subject(&rule->subject, caller->uid, who, sizeof(who));
        if (rule->vgpus != UNKNOWN_U32 && (uint64_t)has->vgpus + asks->vgpus > rule->vgpus)
                return error_set(error, -ERROR_LIMIT_EXCEEDED,
                                 "%s may have %u vGPU%s, active and defined together, by %s:%u; there %s %u, and %u "
                                 "more %s asked for",
                                 who, rule->vgpus, rule->vgpus == 1 ? "" : "s", set->file, rule->line,
                                 has->vgpus == 1 ? "is" : "are", has->vgpus, asks->vgpus,
                                 asks->vgpus == 1 ? "is" : "are");
        if (rule->framebuffer == UNKNOWN_U64)
                return 0;
        if (asks->unknown)
                return error_set(error, -ERROR_LIMIT_EXCEEDED,
                                 "%s may have %" PRIu64
                                 " MiB of framebuffer by %s:%u, and how much of it this takes is "
                                 "not known",
                                 who, rule->framebuffer / MIB, set->file, rule->line);
        if (has->unknown)
                return error_set(
                        error, -ERROR_LIMIT_EXCEEDED,
                        "%s may have %" PRIu64
                        " MiB of framebuffer by %s:%u, and how much of it is taken is not known: the type of one "
                        "of these vGPUs does not say, or is not there",
                        who, rule->framebuffer / MIB, set->file, rule->line);
        if (has->framebuffer > rule->framebuffer || asks->framebuffer > rule->framebuffer - has->framebuffer)
                return error_set(error, -ERROR_LIMIT_EXCEEDED,
                                 "%s may have %" PRIu64 " MiB of framebuffer in vGPUs by %s:%u; %" PRIu64
                                 " MiB are taken, and %" PRIu64 " MiB more are asked for",
                                 who, rule->framebuffer / MIB, set->file, rule->line, has->framebuffer / MIB,
                                 asks->framebuffer / MIB);

        return 0;
}

/* A user has a limit of his own, or that of everybody; and each of his groups has one besides. */
static bool limit_applies(const RuleSet *set, const LimitRule *rule, const Caller *caller) {
        if (!speaks_of_caller(&rule->subject, caller))
                return false;
        if (rule->subject.who != RULE_EVERYBODY)
                return true;

        for (size_t i = 0; i < set->n_limits; i++)
                if (set->limits[i].subject.who == RULE_USER && speaks_of_caller(&set->limits[i].subject, caller))
                        return false;

        return true;
}

const LimitRule *rules_find_framebuffer(const RuleSet *set, const Caller *caller) {
        for (size_t i = 0; set && i < set->n_limits; i++)
                if (set->limits[i].framebuffer != UNKNOWN_U64 && limit_applies(set, &set->limits[i], caller))
                        return &set->limits[i];

        return NULL;
}

static int judge_limits(const RuleSet *set, const Caller *caller, const RuleHolding *holdings, size_t n_holdings,
                        const Sum *asks, Error *error) {
        for (size_t i = 0; i < set->n_limits; i++) {
                const LimitRule *rule = &set->limits[i];
                Sum has = {};
                int r;

                if (!limit_applies(set, rule, caller))
                        continue;
                for (size_t j = 0; j < n_holdings; j++)
                        if (counts(rule, caller, holdings[j].owner))
                                add(&has, holdings[j].framebuffer);
                r = judge_limit(set, rule, caller, &has, asks, error);
                if (r < 0)
                        return r;
        }

        return 0;
}

/* Who cannot be told from those whom a rule is for is not let through as if he were none of them. */
static int check_groups(const RuleSet *set, const Caller *caller, Error *error) {
        uint32_t line = 0;

        if (caller->groups_known || caller->uid == 0)
                return 0;

        for (size_t i = 0; i < set->n_limits && line == 0; i++)
                if (set->limits[i].subject.who == RULE_GROUP)
                        line = set->limits[i].line;
        for (size_t i = 0; i < set->n_uses && line == 0; i++)
                if (set->uses[i].subject.who == RULE_GROUP)
                        line = set->uses[i].line;
        if (line == 0)
                return 0;

        return error_set(
                error, -EACCES,
                "%s:%u is for a group, and the bus does not say in which groups user %u is: a D-Bus that tells "
                "UnixGroupIDs is needed",
                set->file, line, caller->uid);
}

int rules_judge(const RuleSet *set, const Caller *caller, const RuleHolding *holdings, size_t n_holdings,
                const RuleDemand *demands, size_t n_demands, Error *error) {
        Sum asks = {};
        int r;

        if (!set)
                return 0;

        r = check_groups(set, caller, error);
        for (size_t i = 0; i < n_demands && r >= 0; i++) {
                r = judge_use(set, caller, &demands[i], error);
                if (!demands[i].counted)
                        add(&asks, demands[i].framebuffer);
        }
        if (r < 0 || asks.vgpus == 0)
                return r;

        return judge_limits(set, caller, holdings, n_holdings, &asks, error);
}

int rules_judge_amount(const RuleSet *set, const Caller *caller, const RuleHolding *holdings, size_t n_holdings,
                       const RuleDemand *demands, size_t n_demands, Error *error) {
        Sum asks = {};

        for (size_t i = 0; i < n_demands; i++)
                add(&asks, demands[i].framebuffer);
        return set && n_demands > 0 ? judge_limits(set, caller, holdings, n_holdings, &asks, error) : 0;
}
