/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Text: strings made fit to be read by a person, whoever wrote them.
 *
 * Labels, type names and error messages come over the bus from drivers, configuration files and other users. A terminal
 * obeys some characters instead of showing them, so these never reach it.
 */

#include <ctype.h>
#include <time.h>
#include <stdio.h>

#include "text.h"

#define CODEPOINT_REPLACEMENT 0xfffdU

/* Decodes one character; what is no UTF-8 is consumed by the byte and stands as the replacement character. */
static size_t utf8_decode(const char *s, uint32_t *ret_codepoint) {
        static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
        const unsigned char *p = (const unsigned char *)s;
        uint32_t c = p[0];
        size_t n = c < 0x80 ? 1 : c >= 0xf0 && c < 0xf8 ? 4 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xc0 && c < 0xe0 ? 2 : 0;

        *ret_codepoint = CODEPOINT_REPLACEMENT;
        if (n == 0)
                return 1;

        if (n > 1)
                c &= 0xffU >> (n + 1);

        for (size_t i = 1; i < n; i++) {
                if ((p[i] & 0xc0) != 0x80)
                        return 1;
                c = c << 6 | (p[i] & 0x3fU);
        }

        if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
                return 1;

        *ret_codepoint = c;
        return n;
}

/* Characters that a terminal obeys, or that make text read differently from what it is. */
static bool codepoint_is_unsafe(uint32_t c) {
        static const struct {
                uint32_t first, last;
        } unsafe[] = {
                { 0x00, 0x1f }, /* C0 controls */
                { 0x7f, 0x9f }, /* DEL and the C1 controls, which UTF-8 terminals obey too */
                { 0x61c, 0x61c }, /* Arabic letter mark */
                { 0x200b, 0x200b }, /* zero width space */
                { 0x200e, 0x200f }, /* direction marks */
                { 0x2028, 0x202e }, /* line separators, bidirectional embeddings and overrides */
                { 0x2060, 0x206f }, /* invisible operators, bidirectional isolates */
                { 0xfeff, 0xfeff }, /* byte order mark */
                { 0xfff9, 0xfffb }, /* interlinear annotations */
                { 0xe0000, 0xe007f }, /* tags */
        };

        for (size_t i = 0; i < ELEMENTSOF(unsafe); i++)
                if (c >= unsafe[i].first && c <= unsafe[i].last)
                        return true;

        return false;
}

static void codepoint_print_escaped(FILE *f, uint32_t c) {
        if (c < 0x10000) {
                fprintf(f, "\\u%04x", c);
                return;
        }

        /* JSON knows only UTF-16's units. */
        c -= 0x10000;
        fprintf(f, "\\u%04x\\u%04x", 0xd800 + (c >> 10), 0xdc00 + (c & 0x3ff));
}

char *text_escape(const char *s, size_t max_chars, unsigned flags) {
        char *buffer = NULL;
        size_t size = 0, chars = 0;
        FILE *f;

        f = open_memstream(&buffer, &size);
        if (!f)
                return NULL;

        while (*s) {
                uint32_t c;
                size_t n = utf8_decode(s, &c);

                if (max_chars > 0 && ++chars > max_chars) {
                        fputs("\xe2\x80\xa6", f);
                        break;
                }

                if (c == '\n' && (flags & TEXT_KEEP_NEWLINES))
                        fputc('\n', f);
                else if (codepoint_is_unsafe(c))
                        codepoint_print_escaped(f, c);
                else if (c == CODEPOINT_REPLACEMENT)
                        fputs("\xef\xbf\xbd", f);
                else
                        fwrite(s, 1, n, f);

                s += n;
        }

        if (ferror(f)) {
                fclose(f);
                free(buffer);
                return NULL;
        }

        if (fclose(f) != 0) {
                free(buffer);
                return NULL;
        }

        return buffer;
}

char *text_size(uint64_t bytes) {
        static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
        uint64_t unit = 1;
        size_t i = 0;
        char *s;
        int r;

        while (i + 1 < ELEMENTSOF(units) && bytes / unit >= 1024) {
                unit *= 1024;
                i++;
        }

        if (bytes % unit == 0)
                r = asprintf(&s, "%llu %s", (unsigned long long)(bytes / unit), units[i]);
        else
                r = asprintf(&s, "%.1f %s", (double)bytes / (double)unit, units[i]);

        return r < 0 ? NULL : s;
}

char *text_key(const char *name) {
        size_t length = strlen(name), k = 0;
        char *key;

        /* At worst every character gets an underscore before it. */
        key = malloc(2 * length + 1);
        if (!key)
                return NULL;

        for (size_t i = 0; i < length; i++) {
                unsigned char c = (unsigned char)name[i], before = i > 0 ? (unsigned char)name[i - 1] : 0;
                unsigned char after = (unsigned char)name[i + 1];

                /* A word begins after a small letter, and at the last capital of an abbreviation: "VGpu", "ByUID". */
                if (isupper(c) && (islower(before) || isdigit(before) || (isupper(before) && islower(after))))
                        key[k++] = '_';

                key[k++] = c == '-' ? '_' : (char)tolower(c);
        }

        key[k] = 0;
        return key;
}

char *text_label(const char *key) {
        static const struct {
                const char *key, *label;
        } labels[] = {
                { "uuid", "UUID" },
                { "gpu", "GPU" },
                { "gpus", "GPUs" },
                { "vgpus", "vGPUs" },
                { "iommu_group", "IOMMU group" },
                { "framebuffer_total", "Framebuffer" },
                { "framebuffer_used", "Framebuffer used" },
                { "sysfs_path", "Device" },
                { "parent", "GPU" },
                { "function", "Virtual function" },
                { "type_name", "Type" },
                { "type", "Type ID" },
                { "type_id", "Type ID" },
                { "vendor_id", "Vendor ID" },
                { "device_id", "Device ID" },
                { "subsystem_vendor_id", "Subsystem vendor ID" },
                { "subsystem_device_id", "Subsystem device ID" },
                { "bar1", "BAR1" },
                { "ecc", "ECC" },
                { "p2p", "P2P" },
                { "multi_vgpu", "Multi-vGPU" },
                { "stop_copy", "Stop-copy" },
                { "pre_copy", "Pre-copy" },
                { "device_api", "Device API" },
                { "next_type_id", "Next type ID" },
                { "num_vfs", "Virtual functions" },
                { "max_vfs", "Virtual functions at most" },
                { "owner_uid", "Owner's UID" },
        };
        char *label;

        for (size_t i = 0; i < ELEMENTSOF(labels); i++)
                if (streq(key, labels[i].key))
                        return strdup(labels[i].label);

        label = strdup(key);
        if (!label)
                return NULL;

        label[0] = (char)toupper((unsigned char)label[0]);
        for (char *p = label; *p; p++)
                if (*p == '_')
                        *p = ' ';

        return label;
}

bool text_is_uuid(const char *s) {
        size_t i;

        for (i = 0; i < 36; i++) {
                bool dash = i == 8 || i == 13 || i == 18 || i == 23;

                if (dash ? s[i] != '-' : !isxdigit((unsigned char)s[i]))
                        return false;
        }

        return s[i] == 0;
}

/* x: a hexadecimal digit */
static bool text_has_shape(const char *s, const char *shape) {
        size_t i;

        for (i = 0; shape[i]; i++)
                if (shape[i] == 'x' ? !isxdigit((unsigned char)s[i]) : s[i] != shape[i])
                        return false;

        return s[i] == 0;
}

bool text_is_short_address(const char *s) {
        return text_has_shape(s, "xx:xx.x");
}

bool text_is_address(const char *s) {
        return text_is_short_address(s) || text_has_shape(s, "xxxx:xx:xx.x");
}

size_t text_distance(const char *a, const char *b) {
        size_t row[32], n = strlen(b);

        if (n >= ELEMENTSOF(row))
                return SIZE_MAX;

        for (size_t k = 0; k <= n; k++)
                row[k] = k;
        for (size_t i = 0; a[i]; i++) {
                size_t diagonal = row[0];

                row[0] = i + 1;
                for (size_t k = 0; k < n; k++) {
                        size_t least = diagonal + (a[i] != b[k]);

                        diagonal = row[k + 1];
                        if (row[k] + 1 < least)
                                least = row[k] + 1;
                        if (diagonal + 1 < least)
                                least = diagonal + 1;
                        row[k + 1] = least;
                }
        }

        return row[n];
}

char *text_time(uint64_t usec) {
        time_t seconds = (time_t)(usec / 1000000);
        char text[64];
        struct tm tm;

        if (!localtime_r(&seconds, &tm) || strftime(text, sizeof(text), "%F %T", &tm) == 0)
                return strdup("-");
        return strdup(text);
}

char *text_duration(uint64_t usec) {
        char *s;
        int r;

        if (usec < 1000000)
                r = asprintf(&s, "%llu ms", (unsigned long long)(usec + 999) / 1000);
        else
                r = asprintf(&s, "%.1f s", (double)usec / 1e6);

        return r < 0 ? NULL : s;
}
