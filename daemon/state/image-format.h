/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Image format: docs/state-format.md, as structures. Numbers are little-endian, which hosts of vGPUs are. */

#include <xxhash.h>
#ifdef HAVE_XXH_DISPATCH
/* The same sums by what this machine's CPU has, three times as quick as by what every x86-64 has. */
#include <xxh_x86dispatch.h>
#endif

#include "state/image.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the image's numbers would have to be swapped");

#define IMAGE_MAGIC "MDEVGPUS"

/* How an image begins; the header's text follows. */
typedef struct ImageStart {
        char magic[8];
        uint32_t format;
        uint32_t header_size; /* bytes of the text */
        uint64_t checksum; /* XXH3-64 of the text, seeded with format */
} ImageStart;

typedef enum ImageFrameKind {
        IMAGE_FRAME_DATA = 1,
        IMAGE_FRAME_END = 2,
} ImageFrameKind;

typedef struct ImageFrame {
        uint32_t kind;
        uint32_t size; /* bytes that follow */
        uint64_t number; /* of the frame, from 0 */
        uint64_t checksum; /* XXH3-64 of what follows, seeded with number */
} ImageFrame;

/* What follows an end frame. */
typedef struct ImageEnd {
        uint64_t n_bytes; /* of all data */
        uint8_t checksum[16]; /* XXH3-128, canonical, of the start, the header's text and every data frame's ImageFrame */
} ImageEnd;

static_assert(sizeof(ImageStart) == 24 && sizeof(ImageFrame) == 24 && sizeof(ImageEnd) == 24, "the format is fixed");
