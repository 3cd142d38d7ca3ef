/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Print: JSON values as a person reads them or as a program does. Whatever is printed has passed text_escape().
 */

#include <stdio.h>
#include <wchar.h>

#include <libsmartcols/libsmartcols.h>

#include "print.h"
#include "text.h"

/* One endless cell would widen its whole column: a list of a thousand rows must stay a list. */
#define CELL_CHARS_MAX 256U

/* More than any table here has, its end included. */
#define COLUMNS_MAX 16U

/* A page has room for sentences, such as why a driver refused. */
#define TEXT_CHARS_MAX 16384U

bool print_is_bad(const char *key, json_object *value) {
        static const struct {
                const char *key, *value;
        } bad[] = {
                { "state", "failed" },
                { "state", "degraded" },
                { "registration", "refused" },
                { "registration", "differs" },
        };

        if (streq(key, "degraded"))
                return json_object_get_boolean(value);

        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                if (streq(key, bad[i].key) && json_object_is_type(value, json_type_string) &&
                    streq(json_object_get_string(value), bad[i].value))
                        return true;

        return false;
}

bool print_is_empty(json_object *value) {
        return json_object_is_type(value, json_type_null) ||
               (json_object_is_type(value, json_type_string) && json_object_get_string_len(value) == 0);
}

static bool ends_with(const char *s, const char *end) {
        size_t length = strlen(s), n = strlen(end);

        return length >= n && streq(s + length - n, end);
}

static char *rate_text(uint64_t bytes) {
        _cleanup_(freep) char *size = text_size(bytes);
        char *s;

        return size && asprintf(&s, "%s/s", size) >= 0 ? s : NULL;
}

static char *number_text(const char *key, json_object *value) {
        char *s;
        int r;

        if (strncmp(key, "framebuffer", strlen("framebuffer")) == 0 || streq(key, "bytes") ||
            streq(key, "total_bytes") || ends_with(key, "size") || streq(key, "dirty") || streq(key, "bar1"))
                return text_size(json_object_get_uint64(value));
        if (streq(key, "rate"))
                return rate_text(json_object_get_uint64(value));
        if (streq(key, "downtime"))
                return text_duration(json_object_get_uint64(value));
        if (ends_with(key, "_time") || streq(key, "created"))
                return text_time(json_object_get_uint64(value));
        if (streq(key, "iommu_group") && json_object_get_int64(value) < 0)
                return strdup("-");

        if (ends_with(key, "vendor_id") || ends_with(key, "device_id"))
                r = asprintf(&s, "0x%04llx", (unsigned long long)json_object_get_uint64(value));
        else
                r = asprintf(&s, "%s", json_object_to_json_string(value));

        return r < 0 ? NULL : s;
}

static char *percent_text(double share) {
        char *s;

        return asprintf(&s, "%.0f %%", 100 * share) < 0 ? NULL : s;
}

char *print_text(const char *key, json_object *value, size_t max_chars) {
        switch (json_object_get_type(value)) {
        case json_type_null:
                return strdup("-");
        case json_type_boolean:
                return strdup(json_object_get_boolean(value) ? "yes" : "no");
        case json_type_int:
                return number_text(key, value);
        case json_type_double:
                return streq(key, "progress") ? percent_text(json_object_get_double(value))
                                              : strdup(json_object_to_json_string(value));
        case json_type_string:
                /* An empty cell would let the next column be taken for this one. */
                if (json_object_get_string_len(value) == 0)
                        return strdup("-");
                return text_escape(json_object_get_string(value), max_chars, 0);
        default:
                return text_escape(json_object_to_json_string_ext(value, JSON_C_TO_STRING_NOSLASHESCAPE), max_chars, 0);
        }
}

/* D-Bus has no null and says nothing by an empty string; programs that read JSON look for null. */
static int json_empty_to_null(json_object *value) {
        int r = 0;

        if (json_object_is_type(value, json_type_array))
                for (size_t i = 0; i < json_object_array_length(value) && r >= 0; i++)
                        r = json_empty_to_null(json_object_array_get_idx(value, i));

        if (!json_object_is_type(value, json_type_object))
                return r;

        json_object_object_foreach(value, key, member) {
                if (json_object_is_type(member, json_type_string) && json_object_get_string_len(member) == 0)
                        r = json_object_object_add(value, key, NULL);
                else
                        r = json_empty_to_null(member);
                if (r < 0)
                        return -ENOMEM;
        }

        return r;
}

Status print_json(const Ctl *ctl, json_object *value) {
        int flags = JSON_C_TO_STRING_NOSLASHESCAPE;
        _cleanup_(freep) char *safe = NULL;
        const char *s;

        if (json_empty_to_null(value) < 0)
                return ctl_oom();

        flags |= ctl->output == OUTPUT_JSON_SHORT ? JSON_C_TO_STRING_PLAIN
                                                  : JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED;

        s = json_object_to_json_string_ext(value, flags);
        if (!s)
                return ctl_oom();

        /* json-c escapes what JSON forbids; DEL, C1 and reordering characters are legal there and still obeyed here.
         * They can only stand inside strings, where \uXXXX means the same. */
        safe = text_escape(s, 0, TEXT_KEEP_NEWLINES);
        if (!safe)
                return ctl_oom();

        puts(safe);
        return STATUS_DONE;
}

/* How many columns of a terminal the text takes, if each character takes one: it only decides what else is shown. */
static size_t text_width(const char *s) {
        size_t n = mbstowcs(NULL, s, 0);

        return n == (size_t)-1 ? strlen(s) : n;
}

/* How wide the column is, and whether it tells a reader nothing. */
static int column_measure(const Column *column, json_object *rows, size_t *ret_width, bool *ret_idle) {
        size_t n = json_object_array_length(rows), width = strlen(column->heading);
        bool idle = column->usual || (column->flags & COLUMN_ALIKE);
        _cleanup_(freep) char *first = NULL;

        for (size_t i = 0; i < n; i++) {
                _cleanup_(freep) char *text = NULL;
                json_object *value = NULL;

                (void)json_object_object_get_ex(json_object_array_get_idx(rows, i), column->key, &value);
                text = print_text(column->key, value, CELL_CHARS_MAX);
                if (!text)
                        return -ENOMEM;

                if (text_width(text) > width)
                        width = text_width(text);
                if (column->usual ? !streq(text, column->usual) : first && !streq(text, first))
                        idle = false;
                if (!first)
                        first = TAKE(text);
        }

        *ret_width = width;
        *ret_idle = idle;
        return 0;
}

/* Copies the columns that are shown, and the NULL at their end. */
static int table_choose_columns(const Ctl *ctl, const Column *columns, json_object *rows, Column *shown) {
        size_t widths[COLUMNS_MAX] = {}, total = 0, n = 0;
        bool idle[COLUMNS_MAX] = {};
        int r;

        for (size_t i = 0; columns[i].key && ctl->columns > 0; i++) {
                r = column_measure(&columns[i], rows, &widths[i], &idle[i]);
                if (r < 0)
                        return r;

                total += widths[i] + (i > 0 ? 1 : 0);
        }

        for (size_t i = 0; columns[i].key; i++) {
                if (idle[i] && total > ctl->columns) {
                        total -= widths[i] + 1;
                        continue;
                }

                shown[n++] = columns[i];
        }

        shown[n] = (Column){};
        return 0;
}

static int table_add_columns(struct libscols_table *table, const Column *columns) {
        for (const Column *c = columns; c->key; c++) {
                int flags = (c->flags & COLUMN_RIGHT ? SCOLS_FL_RIGHT : 0) |
                            (c->flags & COLUMN_TRUNCATE ? SCOLS_FL_TRUNC : 0);

                if (!scols_table_new_column(table, c->heading, 0, flags))
                        return -ENOMEM;
        }

        return 0;
}

static int table_add_row(struct libscols_table *table, const Column *columns, json_object *row) {
        struct libscols_line *line;

        line = scols_table_new_line(table, NULL);
        if (!line)
                return -ENOMEM;

        for (size_t i = 0; columns[i].key; i++) {
                json_object *value = NULL;
                char *text;
                int r;

                (void)json_object_object_get_ex(row, columns[i].key, &value);
                text = print_text(columns[i].key, value, CELL_CHARS_MAX);
                if (!text)
                        return -ENOMEM;

                r = scols_line_refer_data(line, i, text);
                if (r < 0) {
                        free(text);
                        return r;
                }

                if (print_is_bad(columns[i].key, value)) {
                        r = scols_cell_set_color(scols_line_get_cell(line, i), "red");
                        if (r < 0)
                                return r;
                }
        }

        return 0;
}

static bool columns_can_be_cut(const Column *columns) {
        for (; columns->key; columns++)
                if (columns->flags & COLUMN_TRUNCATE)
                        return true;

        return false;
}

static int table_fill(const Ctl *ctl, struct libscols_table *table, const Column *columns, json_object *rows) {
        bool narrow = ctl->columns > 0 && columns_can_be_cut(columns);
        int r;

        r = scols_table_enable_noheadings(table, ctl->no_legend);
        if (r < 0)
                return r;

        r = scols_table_enable_colors(table, ctl->color);
        if (r < 0)
                return r;

        /* Said rather than found out: a pager's pipe may stand between here and the terminal. Where the library finds no
         * column that may be cut it would cut others. */
        r = scols_table_set_termforce(table, narrow ? SCOLS_TERMFORCE_ALWAYS : SCOLS_TERMFORCE_NEVER);
        if (r < 0)
                return r;

        r = narrow ? scols_table_set_termwidth(table, ctl->columns) : 0;
        if (r < 0)
                return r;

        r = table_add_columns(table, columns);
        for (size_t i = 0; r >= 0 && i < json_object_array_length(rows); i++)
                r = table_add_row(table, columns, json_object_array_get_idx(rows, i));

        return r;
}

Status print_table(const Ctl *ctl, const Column *columns, json_object *rows) {
        struct libscols_table *table;
        Column shown[COLUMNS_MAX];
        int r;

        /* An empty table has no headings either. */
        if (json_object_array_length(rows) == 0)
                return STATUS_DONE;

        table = scols_new_table();
        if (!table)
                return ctl_oom();

        r = table_choose_columns(ctl, columns, rows, shown);
        if (r >= 0)
                r = table_fill(ctl, table, shown, rows);
        if (r >= 0)
                r = scols_print_table(table);

        scols_unref_table(table);
        return r < 0 ? ctl_error(STATUS_FAILED, "Cannot print the table: %s.", strerror(-r)) : STATUS_DONE;
}

static bool page_shows(const char *key, json_object *value, const char *const *hidden) {
        for (; *hidden; hidden++)
                if (streq(key, *hidden))
                        return false;

        return !json_object_is_type(value, json_type_string) || json_object_get_string_len(value) > 0;
}

static int page_line(const Ctl *ctl, const char *key, json_object *value, int width) {
        _cleanup_(freep) char *label = NULL, *safe_label = NULL, *text = NULL;
        bool bad = ctl->color && print_is_bad(key, value);

        label = text_label(key);
        text = print_text(key, value, TEXT_CHARS_MAX);
        safe_label = label ? text_escape(label, CELL_CHARS_MAX, 0) : NULL;
        if (!safe_label || !text)
                return -ENOMEM;

        printf("%*s: %s%s%s\n", width, safe_label, bad ? COLOR_RED : "", text, bad ? COLOR_OFF : "");
        return 0;
}

Status print_page(const Ctl *ctl, const char *title, json_object *object, const char *const *hidden) {
        _cleanup_(freep) char *safe_title = NULL;
        size_t width = 0;

        safe_title = text_escape(title, CELL_CHARS_MAX, 0);
        if (!safe_title)
                return ctl_oom();

        printf("%s%s%s\n", ctl->color ? COLOR_BOLD : "", safe_title, ctl->color ? COLOR_OFF : "");

        json_object_object_foreach(object, key, value) {
                _cleanup_(freep) char *label = NULL;

                if (!page_shows(key, value, hidden))
                        continue;

                label = text_label(key);
                if (!label)
                        return ctl_oom();
                if (strlen(label) > width)
                        width = strlen(label);
        }

        /* A name nobody foresaw must not push the page off the screen. */
        if (width > 30)
                width = 30;

        json_object_object_foreach(object, shown_key, shown_value) {
                if (page_shows(shown_key, shown_value, hidden) &&
                    page_line(ctl, shown_key, shown_value, (int)width + 2) < 0)
                        return ctl_oom();
        }

        return STATUS_DONE;
}
