/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * String table: the words that stand for an enum's values on the bus, in files and in logs. The enum counts from 0; the
 * table is called NAME_table, and NAME_to_string() is NULL for what is not in it.
 */

#include "util/cleanup.h"

#define DEFINE_STRING_TABLE(name, type)                                                                                \
        const char *name##_to_string(type v) {                                                                         \
                return v >= 0 && (size_t)v < ELEMENTSOF(name##_table) ? name##_table[v] : NULL;                        \
        }
