/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "util/text.h"
#include "util/wire.h"

void wire_writer_done(WireWriter *w) {
        free(w->data);
        *w = (WireWriter){};
}

static uint8_t *wire_extend(WireWriter *w, size_t n) {
        uint8_t *p;

        if (w->error < 0)
                return NULL;
        if (n > WIRE_FRAME_MAX - w->size) {
                w->error = -E2BIG;
                return NULL;
        }

        if (w->size + n > w->allocated) {
                size_t allocated = MAX(w->size + n, MAX(w->allocated * 2, 512U));

                p = realloc(w->data, allocated);
                if (!p) {
                        w->error = -ENOMEM;
                        return NULL;
                }
                w->data = p;
                w->allocated = allocated;
        }

        p = w->data + w->size;
        w->size += n;
        return p;
}

static void wire_put(WireWriter *w, const void *data, size_t n) {
        uint8_t *p;

        p = wire_extend(w, n);
        if (p)
                memcpy(p, data, n);
}

void wire_put_u8(WireWriter *w, uint8_t v) {
        wire_put(w, &v, sizeof(v));
}

void wire_put_u32(WireWriter *w, uint32_t v) {
        wire_put(w, &v, sizeof(v));
}

void wire_put_u64(WireWriter *w, uint64_t v) {
        wire_put(w, &v, sizeof(v));
}

void wire_put_string(WireWriter *w, const char *s) {
        size_t n = strlen(s);

        wire_put_u32(w, (uint32_t)MIN(n, WIRE_FRAME_MAX));
        wire_put(w, s, n);
}

static const uint8_t *wire_take(WireReader *r, size_t n) {
        const uint8_t *p;

        if (r->bad || n > r->size - r->position) {
                r->bad = true;
                return NULL;
        }

        p = r->data + r->position;
        r->position += n;
        return p;
}

static void wire_get(WireReader *r, void *value, size_t n) {
        const uint8_t *p;

        p = wire_take(r, n);
        if (p)
                memcpy(value, p, n);
        else
                memset(value, 0, n);
}

uint8_t wire_get_u8(WireReader *r) {
        uint8_t v;

        wire_get(r, &v, sizeof(v));
        return v;
}

bool wire_get_bool(WireReader *r) {
        uint8_t v = wire_get_u8(r);

        if (v > 1)
                r->bad = true;
        return v == 1;
}

uint32_t wire_get_u32(WireReader *r) {
        uint32_t v;

        wire_get(r, &v, sizeof(v));
        return v;
}

uint64_t wire_get_u64(WireReader *r) {
        uint64_t v;

        wire_get(r, &v, sizeof(v));
        return v;
}

uint32_t wire_get_enum(WireReader *r, uint32_t limit) {
        uint32_t v = wire_get_u32(r);

        if (v >= limit) {
                r->bad = true;
                return 0;
        }

        return v;
}

size_t wire_get_count(WireReader *r, size_t max) {
        uint32_t v = wire_get_u32(r);

        if (v > max || v > r->size - r->position) {
                r->bad = true;
                return 0;
        }

        return v;
}

void wire_get_string(WireReader *r, char *buffer, size_t size) {
        const uint8_t *p;
        uint32_t n;

        buffer[0] = '\0';
        n = wire_get_u32(r);
        p = wire_take(r, n);
        if (!p)
                return;

        if (n >= size || memchr(p, '\0', n)) {
                r->bad = true;
                return;
        }

        memcpy(buffer, p, n);
        buffer[n] = '\0';
        if (!text_is_printable(buffer)) {
                r->bad = true;
                buffer[0] = '\0';
        }
}

int wire_reader_finish(const WireReader *r) {
        return r->bad || r->position != r->size ? -EBADMSG : 0;
}
