/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fnmatch.h>
#include <stdarg.h>

#include "core/profile.h"
#include "util/string-table.h"
#include "util/text.h"

static const char *const problem_severity_table[PROBLEM_SEVERITY_MAX] = {
        [PROBLEM_ERROR] = "error",
        [PROBLEM_WARNING] = "warning",
};

DEFINE_STRING_TABLE(problem_severity, ProblemSeverity)

const char *xe_priority_to_string(XePriority p) {
        static const char *const table[XE_PRIORITY_MAX] = { "", "low", "normal", "high" };

        return p >= 0 && p < XE_PRIORITY_MAX ? table[p] : "";
}

int config_report_add(ConfigReport *report, const char *file, uint32_t line, uint32_t column, ProblemSeverity severity,
                      const char *format, ...) {
        _cleanup_(freep) char *file_copy = NULL, *message = NULL;
        ConfigProblem *problems;
        va_list ap;
        int r;

        va_start(ap, format);
        r = text_formatv(&message, format, ap);
        va_end(ap);
        if (r < 0)
                return r;

        file_copy = strdup(file);
        if (!file_copy)
                return -ENOMEM;

        problems = reallocarray(report->problems, report->n_problems + 1, sizeof(ConfigProblem));
        if (!problems)
                return -ENOMEM;

        report->problems = problems;
        report->problems[report->n_problems++] = (ConfigProblem){
                .file = TAKE(file_copy),
                .line = line,
                .column = column,
                .severity = severity,
                .message = TAKE(message),
        };
        if (severity == PROBLEM_ERROR)
                report->n_errors++;

        return 0;
}

/* By place, as people read; a missing key is found at the end of its mapping and reported at its beginning. */
void config_report_sort(ConfigReport *report, size_t first) {
        ConfigProblem *problems = report->n_problems > 0 ? report->problems + first : NULL;

        for (size_t i = 1; first + i < report->n_problems; i++) {
                ConfigProblem p = problems[i];
                size_t j = i;

                for (; j > 0; j--) {
                        const ConfigProblem *q = &problems[j - 1];

                        if (q->line < p.line || (q->line == p.line && q->column <= p.column))
                                break;
                        problems[j] = *q;
                }
                problems[j] = p;
        }
}

void config_report_done(ConfigReport *report) {
        for (size_t i = 0; i < report->n_problems; i++) {
                free(report->problems[i].file);
                free(report->problems[i].message);
        }
        free(report->problems);
        *report = (ConfigReport){};
}

int profile_match_init(ProfileMatch *match) {
        *match = (ProfileMatch){ .any_vendor = true, .address = strdup("*") };
        return match->address ? 0 : -ENOMEM;
}

void profile_match_done(ProfileMatch *match) {
        free(match->devices);
        free(match->subsystems);
        free(match->address);
        *match = (ProfileMatch){};
}

Profile *profile_new(const char *file) {
        _cleanup_(profile_freep) Profile *profile = NULL;

        profile = calloc(1, sizeof(Profile));
        if (!profile)
                return NULL;

        profile->file = strdup(file);
        if (!profile->file)
                return NULL;

        return TAKE(profile);
}

Profile *profile_free(Profile *profile) {
        if (!profile)
                return NULL;

        free(profile->file);
        for (size_t i = 0; i < profile->n_matches; i++)
                profile_match_done(&profile->matches[i]);
        free(profile->matches);
        free(profile->types);
        free(profile);
        return NULL;
}

ProfileMatch *profile_add_match(Profile *profile) {
        ProfileMatch *matches;

        matches = reallocarray(profile->matches, profile->n_matches + 1, sizeof(ProfileMatch));
        if (!matches)
                return NULL;

        profile->matches = matches;
        if (profile_match_init(&matches[profile->n_matches]) < 0)
                return NULL;

        return &matches[profile->n_matches++];
}

int profile_add_type(Profile *profile, const TypeSpec *spec) {
        TypeSpec *types;

        if (profile->n_types >= PROFILE_TYPES_MAX)
                return -E2BIG;
        for (size_t i = 0; i < profile->n_types; i++)
                if (profile->types[i].id == spec->id)
                        return -EEXIST;

        types = reallocarray(profile->types, profile->n_types + 1, sizeof(TypeSpec));
        if (!types)
                return -ENOMEM;

        profile->types = types;
        profile->types[profile->n_types++] = *spec;
        return 0;
}

static bool match_device(const ProfileMatch *match, uint16_t device) {
        for (size_t i = 0; i < match->n_devices; i++)
                if (match->devices[i] == device)
                        return true;

        return match->n_devices == 0;
}

static bool match_subsystem(const ProfileMatch *match, const GpuIdentity *gpu) {
        uint32_t subsystem = (uint32_t)gpu->subsystem_vendor << 16 | gpu->subsystem_device;

        for (size_t i = 0; i < match->n_subsystems; i++)
                if (((match->subsystems[i].value ^ subsystem) & match->subsystems[i].mask) == 0)
                        return true;

        return match->n_subsystems == 0;
}

bool profile_matches(const Profile *profile, const GpuIdentity *gpu) {
        for (size_t i = 0; i < profile->n_matches; i++)
                if (profile_match_gpu(&profile->matches[i], gpu))
                        return true;

        return false;
}

bool profile_match_gpu(const ProfileMatch *match, const GpuIdentity *gpu) {
        if (!match->any_vendor && (!gpu->pci || match->vendor != gpu->vendor))
                return false;
        if (match->n_devices + match->n_subsystems > 0 && !gpu->pci)
                return false;

        return match_device(match, gpu->device) && match_subsystem(match, gpu) &&
               fnmatch(match->address, gpu->address, FNM_NOESCAPE) == 0;
}

ProfileSet *profile_set_new(void) {
        return calloc(1, sizeof(ProfileSet));
}

ProfileSet *profile_set_free(ProfileSet *set) {
        if (!set)
                return NULL;

        for (size_t i = 0; i < set->n_profiles; i++)
                profile_free(set->profiles[i]);
        free(set->profiles);
        free(set);
        return NULL;
}

int profile_set_add(ProfileSet *set, Profile *profile) {
        Profile **profiles;

        profiles = reallocarray(set->profiles, set->n_profiles + 1, sizeof(Profile *));
        if (!profiles)
                return -ENOMEM;

        set->profiles = profiles;
        set->profiles[set->n_profiles++] = profile;
        return 0;
}

static void select_type(TypeSpec *types, size_t *n_types, const TypeSpec *spec, const Profile *profile) {
        size_t i = 0;

        while (i < *n_types && types[i].id != spec->id)
                i++;

        types[i] = *spec;
        types[i].strict = profile->strict;
        types[i].pending_manual = profile->pending_manual;
        types[i].mixed_size = profile->mixed_size;
        *n_types = MAX(*n_types, i + 1);
}

/* Whether a profile that gives way to none speaks of this GPU. */
static bool set_is_firm(const ProfileSet *set, const GpuIdentity *gpu) {
        for (size_t i = 0; i < set->n_profiles; i++)
                if (!set->profiles[i]->fallback && profile_matches(set->profiles[i], gpu))
                        return true;

        return false;
}

int profile_set_select(const ProfileSet *set, const GpuIdentity *gpu, TypeSpec **ret_types, size_t *ret_n_types) {
        _cleanup_(freep) TypeSpec *types = NULL;
        bool firm = set_is_firm(set, gpu);
        size_t n_max = 0, n_types = 0;

        for (size_t i = 0; i < set->n_profiles; i++)
                if (set->profiles[i]->fallback != firm && profile_matches(set->profiles[i], gpu))
                        n_max += set->profiles[i]->n_types;

        if (n_max > 0) {
                types = calloc(n_max, sizeof(TypeSpec));
                if (!types)
                        return -ENOMEM;
        }

        for (size_t i = 0; i < set->n_profiles; i++)
                if (set->profiles[i]->fallback != firm && profile_matches(set->profiles[i], gpu))
                        for (size_t j = 0; j < set->profiles[i]->n_types; j++)
                                select_type(types, &n_types, &set->profiles[i]->types[j], set->profiles[i]);

        *ret_types = TAKE(types);
        *ret_n_types = n_types;
        return 0;
}
