/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <ctype.h>
#include <inttypes.h>
#include <limits.h>
#include <strings.h>

#include "config-value.h"

static int digit_value(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        if (c >= 'A' && c <= 'F')
                return c - 'A' + 10;

        return INT_MAX;
}

/* At least one digit, as many as there are. */
static int digits_parse(const char *text, unsigned base, uint64_t *ret, const char **ret_end) {
        uint64_t value = 0;
        const char *p;
        int r = 0;

        for (p = text; digit_value(*p) < (int)base; p++)
                if (__builtin_mul_overflow(value, base, &value) ||
                    __builtin_add_overflow(value, (uint64_t)digit_value(*p), &value))
                        r = -ERANGE;

        if (p == text)
                return -EINVAL;

        *ret_end = p;
        if (r >= 0)
                *ret = value;
        return r;
}

static int decimal_parse(const char *text, uint64_t *ret, const char **ret_end) {
        if (text[0] == '0' && isdigit((unsigned char)text[1]))
                return -EINVAL;

        return digits_parse(text, 10, ret, ret_end);
}

static bool has_hex_prefix(const char *text) {
        return text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
}

int config_number_parse(const char *text, uint64_t *ret) {
        const char *end = "";
        uint64_t value = 0;
        int r;

        r = has_hex_prefix(text) ? digits_parse(text + 2, 16, &value, &end) : decimal_parse(text, &value, &end);
        if (*end)
                return -EINVAL;
        if (r < 0)
                return r;

        *ret = value;
        return 0;
}

int config_hex_parse(const char *text, size_t n, uint64_t *ret, const char **ret_end) {
        const char *digits = has_hex_prefix(text) ? text + 2 : text, *end;
        uint64_t value;
        int r;

        r = digits_parse(digits, 16, &value, &end);
        if (r < 0 || (size_t)(end - digits) > n)
                return -EINVAL;

        *ret = value;
        *ret_end = end;
        return 0;
}

static const struct {
        const char *name;
        uint64_t factor;
} size_units[] = {
        { "KiB", KIB },
        { "MiB", MIB },
        { "GiB", GIB },
        { "TiB", TIB },
};

int config_size_parse(const char *text, uint64_t *ret) {
        uint64_t value = 0;
        const char *unit;
        int r;

        r = decimal_parse(text, &value, &unit);
        if (r == -EINVAL)
                return r;
        if (*unit == '.' || *unit == ',')
                return -EINVAL;

        unit += strspn(unit, " ");
        if (!*unit)
                return -ENODATA;

        for (size_t i = 0; i < ELEMENTSOF(size_units); i++)
                if (streq(unit, size_units[i].name)) {
                        if (r < 0 || __builtin_mul_overflow(value, size_units[i].factor, &value))
                                return -ERANGE;

                        *ret = value;
                        return 0;
                }

        return -EDOM;
}

ConfigSizeText config_size_format(uint64_t size) {
        ConfigSizeText s;
        size_t i = ELEMENTSOF(size_units) - 1;

        while (i > 0 && (size == 0 || size % size_units[i].factor != 0))
                i--;
        (void)snprintf(s.text, sizeof(s.text), "%" PRIu64 "%s", size / size_units[i].factor, size_units[i].name);
        return s;
}

int config_percent_parse(const char *text, uint64_t *ret) {
        uint64_t value;
        const char *end;
        int r;

        r = decimal_parse(text, &value, &end);
        if (r < 0)
                return r;

        end += strspn(end, " ");
        if (!*end)
                return -ENODATA;
        if (!streq(end, "%"))
                return -EINVAL;

        *ret = value;
        return 0;
}

int config_flag_parse(const char *text, bool *ret) {
        static const char *const words[2][3] = { { "false", "no", "off" }, { "true", "yes", "on" } };

        for (size_t value = 0; value < 2; value++)
                for (size_t i = 0; i < ELEMENTSOF(words[value]); i++)
                        if (strcasecmp(text, words[value][i]) == 0) {
                                *ret = value == 1;
                                return 0;
                        }

        return -EINVAL;
}

#define WORD_MAX 31U

/* maxInstances, max_instances and Max-Instances are all people's ways to write max-instances. */
static size_t word_fold(const char *word, char ret_folded[static WORD_MAX + 1]) {
        size_t n = 0;

        for (; *word; word++) {
                if (*word == '-' || *word == '_')
                        continue;
                if (n == WORD_MAX)
                        return 0;
                ret_folded[n++] = (char)tolower((unsigned char)*word);
        }

        ret_folded[n] = '\0';
        return n;
}

/* How many letters must be added, dropped, replaced or swapped with their neighbours to make b of a. */
static unsigned edit_distance(const char *a, size_t n_a, const char *b, size_t n_b) {
        unsigned d[WORD_MAX + 1][WORD_MAX + 1];

        for (size_t i = 0; i <= n_a; i++)
                d[i][0] = (unsigned)i;
        for (size_t j = 0; j <= n_b; j++)
                d[0][j] = (unsigned)j;

        for (size_t i = 1; i <= n_a; i++)
                for (size_t j = 1; j <= n_b; j++) {
                        unsigned cost = a[i - 1] == b[j - 1] ? 0 : 1;

                        d[i][j] = MIN(MIN(d[i - 1][j], d[i][j - 1]) + 1, d[i - 1][j - 1] + cost);
                        if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                                d[i][j] = MIN(d[i][j], d[i - 2][j - 2] + 1);
                }

        return d[n_a][n_b];
}

int config_word_distance(const char *word, const char *candidate) {
        char a[WORD_MAX + 1], b[WORD_MAX + 1];
        size_t n_a = word_fold(word, a), n_b = word_fold(candidate, b);
        unsigned d;

        if (n_a == 0 || n_b == 0)
                return -1;

        /* A third of the letters may be wrong, and two at most. */
        d = edit_distance(a, n_a, b, n_b);
        return d <= MIN(MAX(n_b / 3, 1U), 2U) ? (int)d : -1;
}
