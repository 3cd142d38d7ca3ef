/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Rules: how many vGPUs, and how much framebuffer, users and groups may have, and which types and GPUs they may use, as
 * mdevgpud.yaml says it. They are judged over plain values alone and touch nothing.
 *
 * A RuleSet is immutable: a reload builds a new one, checks it whole and swaps it.
 */

#include "core/owner.h"
#include "util/error.h"

/* More than anybody writes by hand. */
#define RULES_MAX 1024U
#define RULE_PATTERNS_MAX 256U

/* Names of users and groups with their NUL: useradd(8) takes 32 bytes, directories have longer ones. */
#define RULE_NAME_SIZE 256U

typedef enum RuleWho {
        RULE_EVERYBODY, /* each user but root */
        RULE_USER,
        RULE_GROUP, /* the users, but root, who are in it */
} RuleWho;

typedef struct RuleSubject {
        RuleWho who;
        uint32_t id; /* the user's or group's number */
        char name[RULE_NAME_SIZE]; /* as the file has it, for messages */
} RuleSubject;

/* Of a user, or of all the users of a group together. */
typedef struct LimitRule {
        RuleSubject subject;
        uint32_t vgpus; /* UNKNOWN_U32: any number */
        uint64_t framebuffer; /* bytes of all of these vGPUs together; UNKNOWN_U64: any */
        uint32_t line;
} LimitRule;

/* glob(7) patterns, of which one has to match. */
typedef struct RulePatterns {
        bool any; /* not stated: everything matches */
        char **items;
        size_t n;
} RulePatterns;

/* What may be used by whom it speaks of. */
typedef struct UseRule {
        RuleSubject subject;
        RulePatterns types; /* over their ids and names */
        RulePatterns gpus; /* over sysfs names */
        uint32_t line;
} UseRule;

typedef struct RuleSet {
        char *file; /* for messages; never NULL */
        LimitRule *limits;
        size_t n_limits;
        UseRule *uses;
        size_t n_uses;
} RuleSet;

RuleSet *rule_set_new(const char *file);
RuleSet *rule_set_free(RuleSet *set);
DEFINE_CLEANUP(RuleSet *, rule_set_free)

/* -E2BIG past RULES_MAX, -ENOMEM. The second takes the patterns over on success only. */
int rule_set_add_limit(RuleSet *set, const LimitRule *rule);
int rule_set_add_use(RuleSet *set, const UseRule *rule);
/* -E2BIG past RULE_PATTERNS_MAX, -ENOMEM. */
int rule_patterns_add(RulePatterns *patterns, const char *pattern);
void rule_patterns_done(RulePatterns *patterns);

/* Who asks for something. The groups live as long as whoever says so. */
typedef struct Caller {
        uid_t uid;
        const gid_t *groups;
        size_t n_groups;
        bool groups_known; /* else he may be in any */
} Caller;

/* Whose a vGPU is that he has made. Where he is in more groups than fit, those that limits speak of come first. */
Owner caller_get_owner(const Caller *caller, const RuleSet *set);

/* He as one who asks, in the groups that are remembered; they live as long as the owner, who is known. */
Caller owner_get_caller(const Owner *owner);

/* A vGPU that there is, is being made, or is defined. */
typedef struct RuleHolding {
        const Owner *owner;
        uint64_t framebuffer; /* bytes; UNKNOWN_U64 */
} RuleHolding;

/* One that is asked for. */
typedef struct RuleDemand {
        const char *gpu; /* sysfs name */
        const char *type_id;
        const char *type_name; /* empty: not known */
        uint64_t framebuffer; /* bytes; UNKNOWN_U64 */
        bool counted; /* it is among the holdings already: only whether it may be used is asked */
} RuleDemand;

/*
 * Whether the caller may have all of this besides what there is. -EACCES: he may not use a type or a GPU;
 * -ERROR_LIMIT_EXCEEDED: it would be too much. The error names the rule. set NULL: there are no rules.
 */
int rules_judge(const RuleSet *set, const Caller *caller, const RuleHolding *holdings, size_t n_holdings,
                const RuleDemand *demands, size_t n_demands, Error *error);

/* The same of limits alone: whether his may become so many, whoever asks for it. All of the demands count. */
int rules_judge_amount(const RuleSet *set, const Caller *caller, const RuleHolding *holdings, size_t n_holdings,
                       const RuleDemand *demands, size_t n_demands, Error *error);

/* A limit of framebuffer that is for the caller; NULL: there is none. set may be NULL. */
const LimitRule *rules_find_framebuffer(const RuleSet *set, const Caller *caller);
