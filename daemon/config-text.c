/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config-text.h"

/* Decodes the character at p, before end. Its length, or 0 if there is none in valid UTF-8. */
static size_t character_decode(const unsigned char *p, const unsigned char *end, uint32_t *ret) {
        static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
        uint32_t c;
        size_t n;

        if (*p < 0x80) {
                *ret = *p;
                return 1;
        }

        if (*p < 0xc2 || *p > 0xf4)
                return 0;

        n = *p >= 0xf0 ? 4 : *p >= 0xe0 ? 3 : 2;
        if ((size_t)(end - p) < n)
                return 0;

        c = *p & (0xffU >> (n + 1));
        for (size_t i = 1; i < n; i++) {
                if ((p[i] & 0xc0) != 0x80)
                        return 0;
                c = c << 6 | (p[i] & 0x3fU);
        }

        if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
                return 0;

        *ret = c;
        return n;
}

/* What is wrong with a character outside the printable part of ASCII; NULL if nothing is. */
static const char *character_problem(uint32_t c, bool before_newline) {
        if (c == '\n' || c == '\t' || (c == '\r' && before_newline))
                return NULL;
        if (c == 0)
                return "a NUL byte, which a text does not hold";
        /* YAML 1.1 ends a line, and with it a comment, at all of these, and an editor shows no line that ends there. */
        if (c == '\r' || c == 0x85 || c == 0x2028 || c == 0x2029)
                return "a line end that is neither LF nor CR LF";
        if (c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xfeff || (c >= 0xfffe && c <= 0xffff))
                return "a control character";

        return NULL;
}

const char *config_text_check(const char *text, size_t size, ConfigMark *ret_mark) {
        const unsigned char *p = (const unsigned char *)text, *end = p + size;
        ConfigMark mark = { .line = 1, .column = 1 };
        const char *problem = NULL;

        while (p < end) {
                uint32_t c = 0;
                size_t n;

                n = character_decode(p, end, &c);
                if (n == 0)
                        problem = "the text is not valid UTF-8 here";
                else if (c < 0x20 || c > 0x7e)
                        problem = character_problem(c, p + 1 < end && p[1] == '\n');
                else if (c == '%' && mark.column == 1)
                        /* Nothing here needs one, and libyaml 0.2.5 takes time quadratic in the number of %TAG. */
                        problem = "a line that begins with '%'; YAML directives are not accepted";

                if (problem)
                        break;

                p += n;
                mark = c == '\n' ? (ConfigMark){ mark.line + 1, 1 } : (ConfigMark){ mark.line, mark.column + 1 };
        }

        *ret_mark = mark;
        return problem;
}
