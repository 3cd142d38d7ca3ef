/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Print: JSON values as a person reads them or as a program does. Whatever is printed has passed text_escape().
 */

#include <stdio.h>

#include <libsmartcols/libsmartcols.h>

#include "print.h"
#include "text.h"

/* One endless cell would widen its whole column: a list of a thousand rows must stay a list. */
#define CELL_CHARS_MAX 256U

/* A page has room for sentences, such as why a driver refused. */
#define TEXT_CHARS_MAX 16384U

bool print_is_bad(const char *key, json_object *value) {
        static const struct {
                const char *key, *value;
        } bad[] = {
                { "state", "failed" },
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

static char *number_text(const char *key, json_object *value) {
        char *s;
        int r;

        if (strncmp(key, "framebuffer", strlen("framebuffer")) == 0)
                return text_size(json_object_get_uint64(value));

        if (streq(key, "vendor_id"))
                r = asprintf(&s, "0x%04llx", (unsigned long long)json_object_get_uint64(value));
        else
                r = asprintf(&s, "%s", json_object_to_json_string(value));

        return r < 0 ? NULL : s;
}

char *print_text(const char *key, json_object *value, size_t max_chars) {
        switch (json_object_get_type(value)) {
        case json_type_null:
                return strdup("-");
        case json_type_boolean:
                return strdup(json_object_get_boolean(value) ? "yes" : "no");
        case json_type_int:
                return number_text(key, value);
        case json_type_string:
                /* An empty cell would let the next column be taken for this one. */
                if (json_object_get_string_len(value) == 0)
                        return strdup("-");
                return text_escape(json_object_get_string(value), max_chars, 0);
        default:
                return text_escape(json_object_to_json_string_ext(value, JSON_C_TO_STRING_NOSLASHESCAPE), max_chars,
                                   0);
        }
}

Status print_json(const Ctl *ctl, json_object *value) {
        int flags = JSON_C_TO_STRING_NOSLASHESCAPE;
        _cleanup_(freep) char *safe = NULL;
        const char *s;

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

static int table_fill(const Ctl *ctl, struct libscols_table *table, const Column *columns, json_object *rows) {
        int r;

        r = scols_table_enable_noheadings(table, ctl->no_legend);
        if (r < 0)
                return r;

        r = scols_table_enable_colors(table, ctl->color);
        if (r < 0)
                return r;

        /* Said rather than found out: a pager's pipe may stand between here and the terminal. */
        r = scols_table_set_termforce(table, ctl->columns > 0 ? SCOLS_TERMFORCE_ALWAYS : SCOLS_TERMFORCE_NEVER);
        if (r < 0)
                return r;

        r = ctl->columns > 0 ? scols_table_set_termwidth(table, ctl->columns) : 0;
        if (r < 0)
                return r;

        r = table_add_columns(table, columns);
        for (size_t i = 0; r >= 0 && i < json_object_array_length(rows); i++)
                r = table_add_row(table, columns, json_object_array_get_idx(rows, i));

        return r;
}

Status print_table(const Ctl *ctl, const Column *columns, json_object *rows) {
        struct libscols_table *table;
        int r;

        /* An empty table has no headings either. */
        if (json_object_array_length(rows) == 0)
                return STATUS_DONE;

        table = scols_new_table();
        if (!table)
                return ctl_oom();

        r = table_fill(ctl, table, columns, rows);
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
