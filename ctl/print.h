/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Print: JSON values as a person reads them (tables and pages) or as a program does.
 */

#include "ctl.h"

#define COLOR_RED "\x1b[31m"
#define COLOR_BOLD "\x1b[1m"
#define COLOR_OFF "\x1b[0m"

/* Shown in red while it says so: a state that wants attention. */
bool print_is_bad(const char *key, json_object *value);

/*
 * What stands in a cell or behind a label: sizes with units, "-" for what is unknown or empty. Text longer than
 * max_chars is cut, 0: never. NULL if out of memory.
 */
char *print_text(const char *key, json_object *value, size_t max_chars);

/* The value as JSON with a newline, in the form that was asked for. */
Status print_json(const Ctl *ctl, json_object *value);

typedef struct Column {
        const char *key, *heading;
        unsigned flags;
} Column;

#define COLUMN_RIGHT (1U << 0)
#define COLUMN_TRUNCATE (1U << 1) /* where the terminal is too narrow, this one gives way */

/* Rows are objects; `columns` ends with a key of NULL. */
Status print_table(const Ctl *ctl, const Column *columns, json_object *rows);

/* A title and the object's members, a label each. Empty strings, and keys in `hidden` (ended by NULL), are left out. */
Status print_page(const Ctl *ctl, const char *title, json_object *object, const char *const *hidden);
