/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Owner: who had a vGPU made: a user, and the groups that he was in at that moment. It is what limits count by, and is kept
 * in the vGPU's record and note, so that they hold across restarts and reboots.
 */

#include <sys/types.h>

#include "util/cleanup.h"

/* Groups that are remembered. Linux allows 65536 (NGROUPS_MAX), of which users have a dozen. */
#define OWNER_GROUPS_MAX 32U

/* Room for it as text: numbers of at most ten digits, each with a separator or the NUL behind it. */
#define OWNER_TEXT_SIZE ((OWNER_GROUPS_MAX + 1U) * 11U)

typedef struct Owner {
        bool known; /* else nobody is known to have had it made */
        uid_t uid;
        gid_t groups[OWNER_GROUPS_MAX];
        size_t n_groups;
} Owner;

/* "UID:GID,GID,…"; empty: not known. */
void owner_format(const Owner *owner, char ret_text[static OWNER_TEXT_SIZE]);
/* -EINVAL: it is no such text. */
int owner_parse(const char *text, Owner *ret_owner);

bool owner_equal(const Owner *a, const Owner *b);
