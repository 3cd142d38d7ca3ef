/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Config values: what a scalar's text means, as a number, a size, a share, a word of yes or no. They know no file and
 * report nothing; the words about a value that is wrong are their callers'.
 */

#include "util/cleanup.h"

#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define TIB (UINT64_C(1) << 40)

/* Decimal without leading zeros, which YAML 1.1 takes for octal, or hexadecimal behind 0x. -EINVAL, -ERANGE. */
int config_number_parse(const char *text, uint64_t *ret);

/* Hexadecimal digits, 0x before them or not, n of them at most; *ret_end is what follows. -EINVAL. */
int config_hex_parse(const char *text, size_t n, uint64_t *ret, const char **ret_end);

/* A whole number and a unit. -EINVAL if it is none, -ENODATA without a unit, -EDOM with an unknown one, -ERANGE. */
int config_size_parse(const char *text, uint64_t *ret);

/* The other way, in the largest unit that leaves a whole number. */
typedef struct ConfigSizeText {
        char text[32];
} ConfigSizeText;

ConfigSizeText config_size_format(uint64_t size);

/* A whole number before a percent sign. -EINVAL, -ENODATA without the sign, -ERANGE. */
int config_percent_parse(const char *text, uint64_t *ret);

/* true, yes, on, false, no, off in any case: all that YAML 1.1 means by a boolean, but for its one letter forms. */
int config_flag_parse(const char *text, bool *ret);

/* Whether word is so much like candidate that it was meant, most likely: -, _ and case aside. The distance, or -1. */
int config_word_distance(const char *word, const char *candidate);
