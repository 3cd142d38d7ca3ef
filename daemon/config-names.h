/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Config names: the numbers of users and groups, as /etc/passwd and /etc/group have them. Nobody else is asked: what a
 * name service is asked may take as long as it likes, and what it says of another machine's files would be wrong.
 */

#include "util/cleanup.h"

/* A decimal number stands for itself. -ENOENT: there is none of that name; else why the file cannot be read. */
int config_find_user(const char *root, const char *name, uint32_t *ret_uid);
int config_find_group(const char *root, const char *name, uint32_t *ret_gid);
