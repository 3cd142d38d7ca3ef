/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "core/settings.h"

Settings *settings_new(void) {
        Settings *settings;

        settings = calloc(1, sizeof(Settings));
        if (settings)
                settings->saved_states_max = SETTINGS_SAVED_STATES_MAX;
        return settings;
}

Settings *settings_free(Settings *settings) {
        if (!settings)
                return NULL;

        for (size_t i = 0; i < settings->n_sriov; i++) {
                profile_match_done(&settings->sriov[i].match);
                attributes_done(&settings->sriov[i].attributes);
        }
        free(settings->sriov);
        rule_set_free(settings->rules);
        free(settings);
        return NULL;
}

int settings_add_sriov(Settings *settings, SriovRule **ret_rule) {
        SriovRule *rules;
        int r;

        if (settings->n_sriov >= SETTINGS_RULES_MAX)
                return -E2BIG;

        rules = reallocarray(settings->sriov, settings->n_sriov + 1, sizeof(SriovRule));
        if (!rules)
                return -ENOMEM;

        settings->sriov = rules;
        rules[settings->n_sriov] = (SriovRule){};
        r = profile_match_init(&rules[settings->n_sriov].match);
        if (r < 0)
                return r;

        *ret_rule = &rules[settings->n_sriov++];
        return 0;
}

const SriovRule *settings_find_sriov(const Settings *settings, const GpuIdentity *gpu) {
        for (size_t i = 0; settings && i < settings->n_sriov; i++)
                if (profile_match_gpu(&settings->sriov[i].match, gpu))
                        return &settings->sriov[i];

        return NULL;
}
