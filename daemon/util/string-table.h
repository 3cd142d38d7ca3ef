/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * String table: the two directions between an enum and the words that stand for it on the bus, in files and in logs.
 * The enum counts from 0 and ends in `_MAX, _INVALID = -EINVAL`.
 */

#include "util/cleanup.h"

#define DEFINE_STRING_TABLE(name, type)                                                                                \
        const char *name##_to_string(type v) {                                                                         \
                if (v < 0 || (size_t)v >= ELEMENTSOF(name##_table))                                                    \
                        return NULL;                                                                                   \
                return name##_table[v];                                                                                \
        }                                                                                                              \
        type name##_from_string(const char *s) {                                                                       \
                for (size_t i = 0; s && i < ELEMENTSOF(name##_table); i++)                                             \
                        if (name##_table[i] && streq(name##_table[i], s))                                              \
                                return (type)i;                                                                        \
                return (type)-EINVAL;                                                                                  \
        }

#define DECLARE_STRING_TABLE(name, type)                                                                               \
        const char *name##_to_string(type v);                                                                          \
        type name##_from_string(const char *s)
