/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Text: judging and cleaning words that come from outside before they are shown, sent or used as a name.
 */

#include <stdarg.h>

#include "util/cleanup.h"

/* Valid UTF-8 (no surrogates, no overlong forms) without control characters and noncharacters: what D-Bus can carry. */
bool text_is_printable(const char *s);

/* Makes it so: every byte that is not part of such text becomes '?'. */
void text_sanitize(char *s);

/* Copies as much as fits, cut at a character's boundary, always terminated. True if all of it fitted. */
bool text_copy(char *buffer, size_t size, const char *s);

/* One component of a path, as sysfs has them: not empty, not "." or "..", no '/', printable, at most 255 bytes. */
bool text_is_name(const char *s);

/* Formats into memory of its own, to be freed. -ENOMEM, and *ret_text is untouched. */
int text_formatv(char **ret_text, const char *format, va_list ap) __attribute__((format(printf, 2, 0)));

/* The UUID that belongs to a name, always the same (RFC 4122, version 5, in a name space of ours); in lower case. */
void text_derive_uuid(const char *name, char ret_uuid[static 37]);

/* A UUID in its 36-character form; the copy is in lower case. -EINVAL. */
int text_parse_uuid(const char *s, char ret_uuid[static 37]);

/* The text of a UUID in its binary form, in lower case; false if it is the null UUID. */
bool text_format_uuid(const uint8_t uuid[static 16], char ret_uuid[static 37]);
