/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "writer.h"

static void next(Writer *w) {
        if (w->key) {
                w->key = false;
                return;
        }

        if (w->any)
                fputc(',', w->stream);
        if (!w->compact && w->depth > 0)
                fprintf(w->stream, "\n%*s", (int)(2 * w->depth), "");
}

void writer_open(Writer *w, char bracket) {
        next(w);
        fputc(bracket, w->stream);
        w->depth++;
        w->any = false;
}

void writer_close(Writer *w, char bracket) {
        w->depth--;
        if (w->any && !w->compact)
                fprintf(w->stream, "\n%*s", (int)(2 * w->depth), "");
        fputc(bracket, w->stream);
        w->any = true;
}

static void quote(Writer *w, const char *s) {
        static const char escaped[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";

        fputc('"', w->stream);
        for (; *s; s++) {
                const char *found = strchr(escaped, *s);

                if (found)
                        fprintf(w->stream, "\\%c", letters[found - escaped]);
                else if ((unsigned char)*s < 0x20)
                        fprintf(w->stream, "\\u%04x", (unsigned)*s);
                else
                        fputc(*s, w->stream);
        }
        fputc('"', w->stream);
}

void writer_key(Writer *w, const char *key) {
        next(w);
        quote(w, key);
        fputs(w->compact ? ":" : ": ", w->stream);
        w->key = true;
}

void writer_string(Writer *w, const char *s) {
        next(w);
        quote(w, s);
        w->any = true;
}

void writer_number(Writer *w, long long number) {
        next(w);
        fprintf(w->stream, "%lld", number);
        w->any = true;
}

void writer_device(Writer *w, const Device *d) {
        writer_open(w, '{');
        writer_key(w, "mdev_type");
        writer_string(w, d->type);
        writer_key(w, "start");
        writer_string(w, d->autostart ? "auto" : "manual");
        writer_key(w, "attrs");
        writer_open(w, '[');
        for (size_t i = 0; i < d->n_attributes; i++) {
                writer_open(w, '{');
                writer_key(w, d->attributes[i].name);
                writer_string(w, d->attributes[i].value);
                writer_close(w, '}');
        }
        writer_close(w, ']');
        writer_close(w, '}');
}
