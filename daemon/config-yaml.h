/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Config reader: the part of YAML that configuration may use, as a stream of items: scalars, lists and mappings.
 *
 * What it does not hand on it reports: anchors, aliases, tags, further documents, nesting and length beyond all need.
 * Every problem of a file goes through it, so that it can stop when there are too many.
 */

#include "config-text.h"
#include "core/profile.h"

/* The deepest that any file needs is 8. */
#define CONFIG_DEPTH_MAX 16U

/* Four times what a profile with PROFILE_TYPES_MAX types, all keys stated, has. */
#define CONFIG_ITEMS_MAX 65536U

typedef struct ConfigReader ConfigReader;

typedef enum ConfigItemKind {
        CONFIG_ITEM_SCALAR,
        CONFIG_ITEM_LIST, /* its elements follow, then an END */
        CONFIG_ITEM_MAPPING, /* keys and values follow in turn, then an END */
        CONFIG_ITEM_END,
        CONFIG_ITEM_REFUSED, /* stands where a value was that has been reported already */
        CONFIG_ITEM_NONE, /* instead of the first item: the file holds nothing but blanks and comments */
} ConfigItemKind;

typedef struct ConfigItem {
        ConfigItemKind kind;
        ConfigMark mark;
        const char *text; /* of a scalar, until the next item is read */
        bool plain; /* the scalar stands without quotes */
} ConfigItem;

/*
 * The functions that return int give 0, or a negative errno upon which reading the file must end: -ENOMEM, or -EBADMSG
 * if what forbids to go on has been reported.
 */

/* file, text and report are borrowed and must outlive the reader. */
int config_reader_new(const char *file, const char *text, size_t size, ConfigReport *report, ConfigReader **ret_reader);
ConfigReader *config_reader_free(ConfigReader *reader);
DEFINE_CLEANUP(ConfigReader *, config_reader_free)

/* For a format of others: a key that it does not know is a warning, as the program that it is meant for ignores it. */
void config_reader_set_lenient(ConfigReader *reader);
ProblemSeverity config_reader_unknown(const ConfigReader *reader);

int config_reader_next(ConfigReader *reader, ConfigItem *ret_item);

/* Reads past what belongs to a list or mapping that has just begun; nothing to do for any other item. */
int config_reader_skip(ConfigReader *reader, const ConfigItem *item);

/* After the first item and all that belongs to it: that nothing follows. */
int config_reader_finish(ConfigReader *reader);

int config_reader_problem(ConfigReader *reader, ConfigMark mark, ProblemSeverity severity, const char *format, ...)
        _printf_(4, 5);

#define config_error(reader, mark, ...) config_reader_problem((reader), (mark), PROBLEM_ERROR, __VA_ARGS__)
#define config_warning(reader, mark, ...) config_reader_problem((reader), (mark), PROBLEM_WARNING, __VA_ARGS__)

/* How many errors this file has so far. */
size_t config_reader_n_errors(const ConfigReader *reader);

/* A text from the file made fit for a message: cut when it is long, and printable. */
typedef struct ConfigQuote {
        char text[72];
} ConfigQuote;

ConfigQuote config_quote(const char *text);
