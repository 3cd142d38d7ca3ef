/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Wire: plain values as bytes between the daemon and its workers, both on one machine. The writer is trusted to stay
 * within bounds; the reader trusts nothing: it remembers the first thing that is wrong and yields zeros from then on,
 * so that a decoder is a straight list of fields with one check at its end.
 */

#include "util/cleanup.h"

/* The largest frame: a report at its bounds fits. */
#define WIRE_FRAME_MAX (20U * 1024U * 1024U)

typedef struct WireWriter {
        uint8_t *data;
        size_t size;
        size_t allocated;
        int error; /* -ENOMEM, -E2BIG */
} WireWriter;

void wire_writer_done(WireWriter *w);
void wire_put_u8(WireWriter *w, uint8_t v);
void wire_put_u32(WireWriter *w, uint32_t v);
void wire_put_u64(WireWriter *w, uint64_t v);
void wire_put_string(WireWriter *w, const char *s);

typedef struct WireReader {
        const uint8_t *data;
        size_t size;
        size_t position;
        bool bad;
} WireReader;

uint8_t wire_get_u8(WireReader *r);
bool wire_get_bool(WireReader *r); /* 0 or 1, nothing else */
uint32_t wire_get_u32(WireReader *r);
uint64_t wire_get_u64(WireReader *r);
/* An enum's value: below limit. */
uint32_t wire_get_enum(WireReader *r, uint32_t limit);
/* A number of elements: at most max, and each takes at least one of the bytes that are left. */
size_t wire_get_count(WireReader *r, size_t max);
/* Printable UTF-8 without control characters that fits the buffer. */
void wire_get_string(WireReader *r, char *buffer, size_t size);
/* 0 if everything was right and nothing is left, else -EBADMSG. */
int wire_reader_finish(const WireReader *r);
