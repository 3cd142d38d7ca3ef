/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Writer: JSON as mdevctl prints it, to the byte: in lines with two spaces a level, or on one line without any; members
 * in the order in which they come.
 */

#include "device.h"

typedef struct Writer {
        FILE *stream;
        bool compact;
        unsigned depth;
        bool any; /* something stands in what is open already */
        bool key; /* a value's key was just written */
} Writer;

void writer_open(Writer *w, char bracket);
void writer_close(Writer *w, char bracket);
void writer_key(Writer *w, const char *key);
void writer_string(Writer *w, const char *s);
void writer_number(Writer *w, long long number);

/* A definition. */
void writer_device(Writer *w, const Device *d);
