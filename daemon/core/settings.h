/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Settings: what mdevgpud.yaml says of the host. Immutable: a reload reads anew and swaps them.
 */

#include "core/attributes.h"
#include "core/profile.h"
#include "core/rules.h"

#define SETTINGS_PATH_SIZE 256U
#define SETTINGS_RULES_MAX 256U
/* Unless it is said otherwise: some states of large cards, and not all of a disk. */
#define SETTINGS_SAVED_STATES_MAX (UINT64_C(64) << 30)
#define SETTINGS_ALL_VFS UINT32_MAX

/* How many virtual functions a card shall have. */
typedef struct SriovRule {
        ProfileMatch match;
        uint32_t n_vfs; /* SETTINGS_ALL_VFS: as many as it can have */
        Attributes attributes; /* of all of them */
} SriovRule;

typedef struct Settings {
        char sriov_manage[SETTINGS_PATH_SIZE]; /* NVIDIA's program; empty: where its package puts it */
        bool nvidia_newer; /* types are registered with drivers newer than any whose layout is known to be theirs */
        bool nvidia_legacy; /* drivers of branch 510 are spoken to as the Mdev-GPU project found out */
        SriovRule *sriov; /* the first that matches is meant */
        size_t n_sriov;
        uint64_t saved_states_max; /* bytes of all saved states together */
        RuleSet *rules; /* NULL: there are none */
        const char *root; /* while it is read: below which names of users and groups are looked up; NULL: this host's */
} Settings;

Settings *settings_new(void);
Settings *settings_free(Settings *settings);
DEFINE_CLEANUP(Settings *, settings_free)

/* One that matches every GPU, to be filled. -E2BIG past SETTINGS_RULES_MAX. */
int settings_add_sriov(Settings *settings, SriovRule **ret_rule);
/* NULL: there is none for it. settings may be NULL. */
const SriovRule *settings_find_sriov(const Settings *settings, const GpuIdentity *gpu);
