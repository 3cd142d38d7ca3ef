/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <uuid.h>

#include "util/text.h"

/* Length of the valid, printable UTF-8 character at s, or 0. */
static size_t character_length(const unsigned char *s) {
        static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
        uint32_t c;
        size_t n;

        if (*s < 0x80)
                return *s >= 0x20 && *s != 0x7f;

        n = *s >= 0xf0 ? 4 : *s >= 0xe0 ? 3 : 2;
        if (*s < 0xc2 || *s > 0xf4)
                return 0;

        c = *s & (0xffU >> (n + 1));
        for (size_t i = 1; i < n; i++) {
                if ((s[i] & 0xc0) != 0x80)
                        return 0;
                c = c << 6 | (s[i] & 0x3f);
        }

        if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff) || (c >= 0x80 && c < 0xa0))
                return 0;
        /* Noncharacters: sd-bus refuses a message with such a string (systemd 252). */
        if ((c >= 0xfdd0 && c <= 0xfdef) || (c & 0xfffe) == 0xfffe)
                return 0;

        return n;
}

bool text_is_printable(const char *s) {
        const unsigned char *p = (const unsigned char *)s;

        for (;;) {
                size_t n;

                while (*p >= 0x20 && *p < 0x7f)
                        p++;
                if (*p == '\0')
                        return true;

                n = character_length(p);
                if (n == 0)
                        return false;
                p += n;
        }
}

void text_sanitize(char *s) {
        unsigned char *p = (unsigned char *)s;

        while (*p) {
                size_t n = character_length(p);

                if (n == 0)
                        *p = '?';
                p += MAX(n, 1U);
        }
}

bool text_copy(char *buffer, size_t size, const char *s) {
        size_t n = strlen(s);

        assert(size > 0);

        if (n < size) {
                memcpy(buffer, s, n + 1);
                return true;
        }

        n = size - 1;
        while (n > 0 && ((unsigned char)s[n] & 0xc0) == 0x80)
                n--;
        memcpy(buffer, s, n);
        buffer[n] = '\0';
        return false;
}

bool text_is_name(const char *s) {
        size_t n = strlen(s);

        if (n == 0 || n > 255 || streq(s, ".") || streq(s, ".."))
                return false;

        return !strchr(s, '/') && text_is_printable(s);
}

int text_formatv(char **ret_text, const char *format, va_list ap) {
        char *text;

        if (vasprintf(&text, format, ap) < 0)
                return -ENOMEM;

        *ret_text = text;
        return 0;
}

int text_parse_uuid(const char *s, char ret_uuid[static 37]) {
        uuid_t uuid;

        if (strlen(s) != 36 || uuid_parse(s, uuid) < 0)
                return -EINVAL;

        uuid_unparse_lower(uuid, ret_uuid);
        return 0;
}

void text_derive_uuid(const char *name, char ret_uuid[static 37]) {
        /* Drawn once, at random. */
        static const uuid_t space = { 0x6e, 0x1c, 0x9b, 0x5a, 0x3d, 0x07, 0x4f, 0x52,
                                      0x9a, 0x84, 0xc1, 0x2f, 0x70, 0xe6, 0x5b, 0xd3 };
        uuid_t uuid;

        uuid_generate_sha1(uuid, space, name, strlen(name));
        uuid_unparse_lower(uuid, ret_uuid);
}

bool text_format_uuid(const uint8_t uuid[static 16], char ret_uuid[static 37]) {
        uuid_unparse_lower(uuid, ret_uuid);
        return !uuid_is_null(uuid);
}
