/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <endian.h>

#include "backend/nvidia-layout.h"
#include "util/text.h"

#define BRANCH(version) ((version) >> 20)

/* At *p a number of at most three digits, below limit. */
static bool take_part(const char **p, uint32_t limit, uint32_t *ret) {
        uint32_t v = 0;
        size_t n;

        for (n = 0; n < 4 && (*p)[n] >= '0' && (*p)[n] <= '9'; n++)
                v = v * 10 + (uint32_t)((*p)[n] - '0');
        if (n == 0 || v >= limit)
                return false;

        *p += n;
        *ret = v;
        return true;
}

uint32_t nvidia_version_parse(const char *text) {
        uint32_t major, minor, patch = 0;
        const char *p = text;

        if (!take_part(&p, 4096, &major) || *p++ != '.' || !take_part(&p, 1024, &minor))
                return 0;
        if (*p == '.') {
                p++;
                if (!take_part(&p, 1024, &patch))
                        return 0;
        }

        return *p == '\0' ? major << 20 | minor << 10 | patch : 0;
}

static const NvidiaDialect *dialect_at(uint32_t version) {
        const NvidiaDialect *found = NULL;

        for (size_t i = 0; i < nvidia_n_dialects && nvidia_dialects[i].first <= version; i++)
                found = &nvidia_dialects[i];

        return found;
}

size_t nvidia_dialects_find(uint32_t version, const NvidiaDialect *ret_dialects[static 2], bool *ret_known) {
        const NvidiaRange *before = NULL, *after = NULL;
        size_t n = 0;

        for (size_t i = 0; i < nvidia_n_ranges; i++) {
                const NvidiaRange *range = &nvidia_ranges[i];

                if (BRANCH(range->first) != BRANCH(version))
                        continue;
                if (range->first <= version)
                        before = range;
                else if (!after)
                        after = range;
        }

        *ret_known = before && version <= before->last;
        if (!before) /* older than any known driver of its branch */
                return 0;

        ret_dialects[n++] = dialect_at(MIN(version, before->last));
        if (!*ret_known && after)
                ret_dialects[n++] = dialect_at(after->first);
        return n;
}

uint64_t nvidia_get(const NvidiaDialect *dialect, const uint8_t *parameters, size_t base, NvidiaAt at) {
        const NvidiaPlace *place = &dialect->places[at];
        uint64_t v = 0;

        assert(place->size <= sizeof(v));
        memcpy(&v, parameters + base + place->offset, place->there ? place->size : 0U);
        return le64toh(v);
}

bool nvidia_put(const NvidiaDialect *dialect, uint8_t *parameters, size_t base, NvidiaAt at, uint64_t value) {
        const NvidiaPlace *place = &dialect->places[at];
        uint64_t v = htole64(value);

        if (!place->there)
                return value == 0;

        assert(place->size > 0 && place->size <= sizeof(v));
        if (place->size < sizeof(v) && value >> (place->size * 8) != 0)
                return false;

        memcpy(parameters + base + place->offset, &v, place->size);
        return true;
}

void nvidia_get_text(const NvidiaDialect *dialect, const uint8_t *parameters, size_t base, NvidiaAt at, char *buffer,
                     size_t size) {
        const NvidiaPlace *place = &dialect->places[at];
        char text[256];
        size_t n = MIN((size_t)place->size, sizeof(text) - 1);

        memcpy(text, parameters + base + place->offset, n);
        text[n] = '\0';
        text_sanitize(text);
        (void)text_copy(buffer, size, text);
}

size_t nvidia_get_bytes(const NvidiaDialect *dialect, const uint8_t *parameters, size_t base, NvidiaAt at,
                        uint8_t *buffer, size_t size) {
        const NvidiaPlace *place = &dialect->places[at];
        size_t n = place->there ? MIN((size_t)place->size, size) : 0;

        memcpy(buffer, parameters + base + place->offset, n);
        return n;
}

bool nvidia_put_text(const NvidiaDialect *dialect, uint8_t *parameters, size_t base, NvidiaAt at, const char *text) {
        const NvidiaPlace *place = &dialect->places[at];
        size_t n = strlen(text);

        if (n + 1 > place->size)
                return n == 0;

        memcpy(parameters + base + place->offset, text, n + 1);
        return true;
}

uint32_t nvidia_u32(const uint8_t *p) {
        uint32_t v;

        memcpy(&v, p, sizeof(v));
        return le32toh(v);
}

uint64_t nvidia_u64(const uint8_t *p) {
        uint64_t v;

        memcpy(&v, p, sizeof(v));
        return le64toh(v);
}

void nvidia_set_u32(uint8_t *p, uint32_t v) {
        v = htole32(v);
        memcpy(p, &v, sizeof(v));
}

void nvidia_set_u64(uint8_t *p, uint64_t v) {
        v = htole64(v);
        memcpy(p, &v, sizeof(v));
}
