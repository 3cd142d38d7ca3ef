/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Print: JSON values as a person reads them (tables and pages) or as a program does.
 */

#include "ctl.h"

#define COLOR_RED "\x1b[31m"
#define COLOR_YELLOW "\x1b[33m"
#define COLOR_BOLD "\x1b[1m"
#define COLOR_OFF "\x1b[0m"

/* Shown in red while it says so: a state that wants attention. */
bool print_is_bad(const char *key, json_object *value);

/* Nothing to be said: unknown, or an empty string. */
bool print_is_empty(json_object *value);

/*
 * What stands in a cell or behind a label: sizes with units, "-" for what is unknown or empty. Text longer than
 * max_chars is cut, 0: never. NULL if out of memory.
 */
char *print_text(const char *key, json_object *value, size_t max_chars);

/* The value as JSON with a newline, in the form that was asked for. Its empty strings become null. */
Status print_json(const Ctl *ctl, json_object *value);

typedef struct Column {
        const char *key, *heading;
        unsigned flags;
        const char *usual; /* goes where the terminal is too narrow and every row says this; NULL: stays */
} Column;

#define COLUMN_RIGHT (1U << 0)
#define COLUMN_TRUNCATE (1U << 1) /* where the terminal is too narrow, this one is cut */
#define COLUMN_ALIKE (1U << 2)    /* goes where the terminal is too narrow and every row says the same */

/*
 * Rows are objects; `columns` ends with a key of NULL. On a terminal that is too narrow columns that tell nothing go, the
 * leftmost first. No other column than one that may be is ever cut: the line rather becomes longer than the terminal.
 */
Status print_table(const Ctl *ctl, const Column *columns, json_object *rows);

/* A title and the object's members, a label each. Empty strings, and keys in `hidden` (ended by NULL), are left out. */
Status print_page(const Ctl *ctl, const char *title, json_object *object, const char *const *hidden);
