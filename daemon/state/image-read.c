/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>

#include "state/image-format.h"

struct ImageReader {
        Stream *stream;
        ImageHeader header;
        XXH3_state_t *whole;
        uint64_t n_frames;
        uint64_t n_bytes;
        bool ended;
        uint8_t data[IMAGE_FRAME_MAX];
};

/* Exactly so much, of which what says what it is. */
static int get(ImageReader *r, void *data, size_t size, const char *what, Error *error) {
        size_t n;
        int k;

        k = stream_read(r->stream, data, size, &n);
        if (k == -ECANCELED)
                return error_set(error, -ERROR_CANCELLED, "It was cancelled");
        if (k == -ETIMEDOUT)
                return error_set(error, -ERROR_TIMEOUT, "Whoever was to give the state did not give a byte for too long");
        if (k < 0)
                return error_set(error, -EIO, "The state cannot be read: %s", strerrordesc_np(-k) ?: "unknown error");
        if (n < size)
                return error_set(error, -EILSEQ, "The state image is cut off in %s, behind %" PRIu64 " bytes of data", what,
                                 r->n_bytes);

        return 0;
}

static int check_start(const ImageStart *start, Error *error) {
        if (memcmp(start->magic, IMAGE_MAGIC, sizeof(start->magic)) != 0)
                return error_set(error, -EILSEQ, "It is no image of a vGPU's state");
        if (start->format != IMAGE_FORMAT)
                return error_set(error, -EILSEQ,
                                 "The state image has format %" PRIu32 ", of which this version of mdevgpud knows only %u",
                                 start->format, IMAGE_FORMAT);
        if (start->header_size == 0 || start->header_size > IMAGE_HEADER_MAX)
                return error_set(error, -EILSEQ, "The state image's header has %" PRIu32 " bytes, of at most %u",
                                 start->header_size, IMAGE_HEADER_MAX);

        return 0;
}

static int get_header(ImageReader *r, Error *error) {
        ImageStart start;
        int k;

        static_assert(IMAGE_HEADER_MAX <= sizeof(r->data), "the header is read into a frame's place");
        k = get(r, &start, sizeof(start), "its beginning", error);
        if (k >= 0)
                k = check_start(&start, error);
        if (k >= 0)
                k = get(r, r->data, start.header_size, "its header", error);
        if (k < 0)
                return k;
        if (XXH3_64bits_withSeed(r->data, start.header_size, start.format) != start.checksum)
                return error_set(error, -EILSEQ, "The state image's header is corrupt: its checksum is wrong");

        (void)XXH3_128bits_update(r->whole, &start, sizeof(start));
        (void)XXH3_128bits_update(r->whole, r->data, start.header_size);
        return image_header_parse((const char *)r->data, start.header_size, &r->header, error);
}

int image_reader_new(Stream *stream, ImageReader **ret_reader, Error *error) {
        _cleanup_(image_reader_freep) ImageReader *r = NULL;
        int k;

        r = calloc(1, sizeof(ImageReader));
        if (r)
                r->whole = XXH3_createState();
        if (!r || !r->whole)
                return error_set_errno(error, -ENOMEM, "the state cannot be read");

        r->stream = stream;
        image_header_init(&r->header);
        (void)XXH3_128bits_reset(r->whole);
        k = get_header(r, error);
        if (k < 0)
                return k;

        *ret_reader = TAKE(r);
        return 0;
}

const ImageHeader *image_reader_get_header(const ImageReader *reader) {
        return &reader->header;
}

static int check_frame(const ImageReader *r, const ImageFrame *frame, Error *error) {
        bool end = frame->kind == IMAGE_FRAME_END;

        if (!end && frame->kind != IMAGE_FRAME_DATA)
                return error_set(error, -EILSEQ, "The state image is corrupt: frame %" PRIu64 " is of no known kind",
                                 r->n_frames);
        if (frame->number != r->n_frames)
                return error_set(error, -EILSEQ,
                                 "The state image is corrupt: frame %" PRIu64 " stands where %" PRIu64 " should",
                                 frame->number, r->n_frames);
        if (frame->size == 0 || frame->size > IMAGE_FRAME_MAX || (end && frame->size != sizeof(ImageEnd)))
                return error_set(error, -EILSEQ, "The state image is corrupt: frame %" PRIu64 " has %" PRIu32 " bytes",
                                 frame->number, frame->size);

        return 0;
}

static int check_end(ImageReader *r, Error *error) {
        uint8_t checksum[sizeof(((ImageEnd *)NULL)->checksum)];
        ImageEnd end;

        memcpy(&end, r->data, sizeof(end));
        XXH128_canonicalFromHash((XXH128_canonical_t *)checksum, XXH3_128bits_digest(r->whole));
        if (end.n_bytes != r->n_bytes || memcmp(end.checksum, checksum, sizeof(checksum)) != 0)
                return error_set(error, -EILSEQ,
                                 "The state image is corrupt: what stands in it as a whole is not what its end says");

        r->ended = true;
        return 0;
}

int image_reader_next(ImageReader *r, const uint8_t **ret_data, size_t *ret_size, Error *error) {
        ImageFrame frame;
        int k;

        *ret_data = NULL;
        *ret_size = 0;
        if (r->ended)
                return 0;

        k = get(r, &frame, sizeof(frame), "a frame's head", error);
        if (k >= 0)
                k = check_frame(r, &frame, error);
        if (k >= 0)
                k = get(r, r->data, frame.size, "a frame", error);
        if (k < 0)
                return k;
        if (XXH3_64bits_withSeed(r->data, frame.size, frame.number) != frame.checksum)
                return error_set(error, -EILSEQ, "The state image is corrupt: the checksum of frame %" PRIu64 " is wrong",
                                 frame.number);
        if (frame.kind == IMAGE_FRAME_END)
                return check_end(r, error);

        (void)XXH3_128bits_update(r->whole, &frame, sizeof(frame));
        r->n_frames++;
        r->n_bytes += frame.size;
        *ret_data = r->data;
        *ret_size = frame.size;
        return 0;
}

uint64_t image_reader_get_bytes(const ImageReader *reader) {
        return reader->n_bytes;
}

ImageReader *image_reader_free(ImageReader *r) {
        if (!r)
                return NULL;

        image_header_done(&r->header);
        (void)XXH3_freeState(r->whole);
        free(r);
        return NULL;
}
