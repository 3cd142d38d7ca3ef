/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>
#include <stdarg.h>
#include <yaml.h>

#include "config.h"
#include "config-yaml.h"
#include "util/text.h"

struct ConfigReader {
        yaml_parser_t parser;
        yaml_event_t event;
        const char *file;
        ConfigReport *report;
        size_t n_errors; /* that the report held before this file */
        size_t n_warnings;
        ConfigMark end; /* of the text */
        size_t n_items;
        unsigned depth;
        bool lenient;
};

ConfigQuote config_quote(const char *text) {
        ConfigQuote quote;

        if (!text_copy(quote.text, sizeof(quote.text) - strlen("..."), text))
                strcat(quote.text, "...");
        text_sanitize(quote.text);
        return quote;
}

/* At the end of a text whose last line has no end libyaml is in a line that is not there. */
static ConfigMark reader_mark(const ConfigReader *reader, const yaml_mark_t *mark) {
        ConfigMark m = { .line = (uint32_t)mark->line + 1, .column = (uint32_t)mark->column + 1 };

        return m.line > reader->end.line ? reader->end : m;
}

size_t config_reader_n_errors(const ConfigReader *reader) {
        return reader->report->n_errors - reader->n_errors;
}

static int reader_add(ConfigReader *reader, ConfigMark mark, ProblemSeverity severity, const char *message) {
        return config_report_add(reader->report, reader->file, mark.line, mark.column, severity, "%s", message);
}

static int reader_warn(ConfigReader *reader, ConfigMark mark, const char *message) {
        if (reader->n_warnings > CONFIG_FILE_WARNINGS_MAX)
                return 0;
        if (reader->n_warnings++ == CONFIG_FILE_WARNINGS_MAX)
                message = "further warnings about this file are left out";

        return reader_add(reader, mark, PROBLEM_WARNING, message);
}

static int reader_fail(ConfigReader *reader, ConfigMark mark, const char *message) {
        int r;

        r = reader_add(reader, mark, PROBLEM_ERROR, message);
        if (r < 0 || config_reader_n_errors(reader) < CONFIG_FILE_ERRORS_MAX)
                return r;

        r = reader_add(reader, reader_mark(reader, &reader->event.end_mark), PROBLEM_ERROR,
                       "too many errors; the rest of the file has not been looked at");
        return r < 0 ? r : -EBADMSG;
}

int config_reader_problem(ConfigReader *reader, ConfigMark mark, ProblemSeverity severity, const char *format, ...) {
        _cleanup_(freep) char *message = NULL;
        va_list ap;
        int r;

        va_start(ap, format);
        r = text_formatv(&message, format, ap);
        va_end(ap);
        if (r < 0)
                return r;

        return severity == PROBLEM_WARNING ? reader_warn(reader, mark, message) : reader_fail(reader, mark, message);
}

static int reader_check_text(ConfigReader *reader, const char *text, size_t size) {
        const char *problem;
        ConfigMark mark;
        int r;

        if (size > CONFIG_FILE_SIZE_MAX) {
                r = config_error(reader, (ConfigMark){}, "the file is larger than %u KiB",
                                 CONFIG_FILE_SIZE_MAX / 1024U);
                return r < 0 ? r : -EBADMSG;
        }

        problem = config_text_check(text, size, &mark);
        if (problem) {
                r = config_error(reader, mark, "%s", problem);
                return r < 0 ? r : -EBADMSG;
        }

        reader->end = mark;
        return 0;
}

int config_reader_new(const char *file, const char *text, size_t size, ConfigReport *report,
                      ConfigReader **ret_reader) {
        static const char byte_order_mark[] = "\xef\xbb\xbf";
        _cleanup_(config_reader_freep) ConfigReader *reader = NULL;
        int r;

        reader = calloc(1, sizeof(ConfigReader));
        if (!reader)
                return -ENOMEM;

        reader->file = file;
        reader->report = report;
        reader->n_errors = report->n_errors;

        if (size >= 3 && memcmp(text, byte_order_mark, 3) == 0) {
                text += 3;
                size -= 3;
        }

        r = reader_check_text(reader, text, size);
        if (r < 0)
                return r;

        if (!yaml_parser_initialize(&reader->parser))
                return -ENOMEM;

        yaml_parser_set_encoding(&reader->parser, YAML_UTF8_ENCODING);
        yaml_parser_set_input_string(&reader->parser, (const unsigned char *)text, size);

        *ret_reader = TAKE(reader);
        return 0;
}

ConfigReader *config_reader_free(ConfigReader *reader) {
        if (!reader)
                return NULL;

        /* Both cope with what is still zero, as it is if initialisation failed. */
        yaml_event_delete(&reader->event);
        yaml_parser_delete(&reader->parser);
        free(reader);
        return NULL;
}

void config_reader_set_lenient(ConfigReader *reader) {
        reader->lenient = true;
}

ProblemSeverity config_reader_unknown(const ConfigReader *reader) {
        return reader->lenient ? PROBLEM_WARNING : PROBLEM_ERROR;
}

/* What people run into most, as libyaml's own words do not lead them to it. */
static const char *syntax_hint(const yaml_parser_t *parser) {
        const char *context = strempty(parser->context), *problem = strempty(parser->problem);

        if (streq(context, "while scanning an alias") || streq(context, "while scanning an anchor"))
                return "; a text that begins with * or & needs quotes";
        if (streq(problem, "found character that cannot start any token"))
                return "; indent with blanks, and put a text that begins with @, ` or % in quotes";

        return "";
}

static int reader_syntax_error(ConfigReader *reader) {
        const yaml_parser_t *parser = &reader->parser;
        ConfigMark mark, begin;
        int r;

        if (parser->error == YAML_MEMORY_ERROR)
                return -ENOMEM;

        mark = reader_mark(reader, &parser->problem_mark);
        begin = reader_mark(reader, &parser->context_mark);
        if (!parser->context)
                r = config_error(reader, mark, "%s%s", strempty(parser->problem), syntax_hint(parser));
        else if (begin.line == mark.line && begin.column == mark.column)
                r = config_error(reader, mark, "%s %s%s", strempty(parser->problem), parser->context,
                                 syntax_hint(parser));
        else
                r = config_error(reader, mark, "%s %s that begins in line %" PRIu32 ", column %" PRIu32 "%s",
                                 strempty(parser->problem), parser->context, begin.line, begin.column,
                                 syntax_hint(parser));

        return r < 0 ? r : -EBADMSG;
}

static int reader_parse(ConfigReader *reader) {
        yaml_event_delete(&reader->event);
        if (!yaml_parser_parse(&reader->parser, &reader->event))
                return reader_syntax_error(reader);

        return 0;
}

static int reader_refuse(ConfigReader *reader, ConfigMark mark, const char *anchor, const char *tag) {
        int r = 0;

        if (anchor)
                r = config_error(reader, mark, "an anchor (&%s); anchors are not accepted", config_quote(anchor).text);
        if (r >= 0 && tag)
                r = config_error(reader, mark, "a tag (%s); tags are not accepted", config_quote(tag).text);

        return r;
}

/*
 * libyaml 0.2.5 takes time quadratic in the depth of nesting. It hands out events before it looks further than the 1024
 * characters that a key may have, so a bound here is one on what it has to hold.
 */
static int reader_enter(ConfigReader *reader, ConfigMark mark) {
        int r;

        if (++reader->depth <= CONFIG_DEPTH_MAX)
                return 0;

        r = config_error(reader, mark, "nested more than %u deep; the rest of the file has not been looked at",
                         CONFIG_DEPTH_MAX);
        return r < 0 ? r : -EBADMSG;
}

static int reader_list(ConfigReader *reader, ConfigItem *item) {
        int r;

        item->kind = CONFIG_ITEM_LIST;
        r = reader_refuse(reader, item->mark, (const char *)reader->event.data.sequence_start.anchor,
                          (const char *)reader->event.data.sequence_start.tag);
        return r < 0 ? r : reader_enter(reader, item->mark);
}

static int reader_mapping(ConfigReader *reader, ConfigItem *item) {
        int r;

        item->kind = CONFIG_ITEM_MAPPING;
        r = reader_refuse(reader, item->mark, (const char *)reader->event.data.mapping_start.anchor,
                          (const char *)reader->event.data.mapping_start.tag);
        return r < 0 ? r : reader_enter(reader, item->mark);
}

static int reader_scalar(ConfigReader *reader, ConfigItem *item) {
        const char *text = (const char *)reader->event.data.scalar.value;

        /* The escape \0 makes one; everybody behind this point can take the text for a C string. */
        if (memchr(text, '\0', reader->event.data.scalar.length)) {
                item->kind = CONFIG_ITEM_REFUSED;
                return config_error(reader, item->mark, "a NUL within a text");
        }

        item->kind = CONFIG_ITEM_SCALAR;
        item->text = text;
        item->plain = reader->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
        return reader_refuse(reader, item->mark, (const char *)reader->event.data.scalar.anchor,
                             (const char *)reader->event.data.scalar.tag);
}

static int reader_alias(ConfigReader *reader, ConfigItem *item) {
        const char *anchor = (const char *)reader->event.data.alias.anchor;

        item->kind = CONFIG_ITEM_REFUSED;
        return config_error(reader, item->mark, "an alias (*%s); aliases are not accepted", config_quote(anchor).text);
}

static int reader_count(ConfigReader *reader, ConfigMark mark) {
        int r;

        if (++reader->n_items <= CONFIG_ITEMS_MAX)
                return 0;

        r = config_error(reader, mark, "more than %u items; the rest of the file has not been looked at",
                         CONFIG_ITEMS_MAX);
        return r < 0 ? r : -EBADMSG;
}

int config_reader_next(ConfigReader *reader, ConfigItem *ret_item) {
        ConfigItem item = {};
        int r;

        do {
                r = reader_parse(reader);
                if (r < 0)
                        return r;
        } while (reader->event.type == YAML_STREAM_START_EVENT || reader->event.type == YAML_DOCUMENT_START_EVENT);

        item.mark = reader_mark(reader, &reader->event.start_mark);
        r = reader_count(reader, item.mark);
        if (r < 0)
                return r;

        switch (reader->event.type) {
        case YAML_SCALAR_EVENT:
                r = reader_scalar(reader, &item);
                break;
        case YAML_SEQUENCE_START_EVENT:
                r = reader_list(reader, &item);
                break;
        case YAML_MAPPING_START_EVENT:
                r = reader_mapping(reader, &item);
                break;
        case YAML_ALIAS_EVENT:
                r = reader_alias(reader, &item);
                break;
        case YAML_SEQUENCE_END_EVENT:
        case YAML_MAPPING_END_EVENT:
                item.kind = CONFIG_ITEM_END;
                reader->depth--;
                break;
        default:
                /* The end of the stream: nobody asks for a further item at the end of a document. */
                item.kind = CONFIG_ITEM_NONE;
        }
        if (r < 0)
                return r;

        *ret_item = item;
        return 0;
}

int config_reader_skip(ConfigReader *reader, const ConfigItem *item) {
        unsigned depth = reader->depth;
        ConfigItem inner;
        int r;

        if (item->kind != CONFIG_ITEM_LIST && item->kind != CONFIG_ITEM_MAPPING)
                return 0;

        while (reader->depth >= depth) {
                r = config_reader_next(reader, &inner);
                if (r < 0)
                        return r;
        }

        return 0;
}

int config_reader_finish(ConfigReader *reader) {
        int r;

        do {
                r = reader_parse(reader);
                if (r < 0)
                        return r;
        } while (reader->event.type == YAML_DOCUMENT_END_EVENT);

        if (reader->event.type == YAML_STREAM_END_EVENT)
                return 0;

        r = config_error(reader, reader_mark(reader, &reader->event.start_mark),
                         "a second document; give it a file of its own");
        return r < 0 ? r : -EBADMSG;
}
