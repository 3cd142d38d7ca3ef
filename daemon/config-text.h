/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Config text: the raw bytes of a file, looked at before a parser sees them.
 */

#include "util/cleanup.h"

/* A place in a file; both count from 1, columns in characters as editors do. 0 is no place. */
typedef struct ConfigMark {
        uint32_t line;
        uint32_t column;
} ConfigMark;

/*
 * The first thing that must not be fed to the parser, in words, and its place: bytes that are no UTF-8, characters that
 * cannot be seen, line ends that an editor does not show, YAML directives. NULL and the end's place if there is none.
 */
const char *config_text_check(const char *text, size_t size, ConfigMark *ret_mark);
