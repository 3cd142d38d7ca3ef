/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * State image: a vGPU's state as a stream of bytes, in the format that docs/state-format.md describes: what made it, then what
 * the driver gave, in frames, then the end. It is hostile until checked: whoever reads one judges the header before anything of
 * it reaches a device, and is given no frame that has not been checked.
 *
 * Writer and reader take the same memory however long an image is.
 */

#include "core/image-header.h"
#include "state/stream.h"

/* Of the format: what is newer is refused, with this number. */
#define IMAGE_FORMAT 1U

/* Bytes of a frame's data at most, and of the header's. */
#define IMAGE_FRAME_MAX (1024U * 1024U)
#define IMAGE_HEADER_MAX (256U * 1024U)

/* image-header.c: to be freed; -ENOMEM, -E2BIG. */
int image_header_format(const ImageHeader *header, char **ret_text, size_t *ret_size);
/* -EILSEQ with a sentence, -ENOMEM; *ret_header is to be done in any case. */
int image_header_parse(const char *text, size_t size, ImageHeader *ret_header, Error *error);

#define STATE_OVER_LIMIT "The state cannot be saved: all saved states together would take more than they may"

typedef struct ImageWriter ImageWriter;
typedef struct ImageReader ImageReader;

/* Writes the header. The stream is borrowed. */
int image_writer_new(Stream *stream, const ImageHeader *header, ImageWriter **ret_writer, Error *error);
/* Where the next data may be put, of IMAGE_FRAME_MAX bytes. */
uint8_t *image_writer_get_buffer(ImageWriter *writer);
/* The first size bytes of that become a frame; 0: nothing does. */
int image_writer_put(ImageWriter *writer, size_t size, Error *error);
/* The end marker, without which it is no image. */
int image_writer_finish(ImageWriter *writer, Error *error);
uint64_t image_writer_get_bytes(const ImageWriter *writer); /* of data */
ImageWriter *image_writer_free(ImageWriter *writer);
DEFINE_CLEANUP(ImageWriter *, image_writer_free)

/*
 * Reads the header, and checks it. Errors of all three: -EILSEQ (it is no image, corrupt, cut off, newer or over a bound; the
 * sentence says which), what stream_read() says, -ENOMEM.
 */
int image_reader_new(Stream *stream, ImageReader **ret_reader, Error *error);
const ImageHeader *image_reader_get_header(const ImageReader *reader);
/* The next frame's data, checked, valid until the next call; *ret_size is 0 at the end, which has been checked as well. */
int image_reader_next(ImageReader *reader, const uint8_t **ret_data, size_t *ret_size, Error *error);
uint64_t image_reader_get_bytes(const ImageReader *reader);
ImageReader *image_reader_free(ImageReader *reader);
DEFINE_CLEANUP(ImageReader *, image_reader_free)
