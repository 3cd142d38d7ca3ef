/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "state/image-format.h"

struct ImageWriter {
        Stream *stream;
        XXH3_state_t *whole;
        uint64_t n_frames;
        uint64_t n_bytes;
        struct {
                ImageFrame head;
                uint8_t data[IMAGE_FRAME_MAX];
        } frame; /* goes out in one write */
};

static int write_error(Error *error, int r) {
        if (r == -ECANCELED)
                return error_set(error, -ERROR_CANCELLED, "It was cancelled");
        if (r == -ETIMEDOUT)
                return error_set(error, -ERROR_TIMEOUT, "Whoever was to take the state did not take a byte for too long");
        if (r == STREAM_OVER_LIMIT)
                return error_set(error, -ERROR_LIMIT_EXCEEDED, STATE_OVER_LIMIT);
        if (r == -EPIPE || r == -ECONNRESET)
                return error_set(error, -EIO, "Whoever was to take the state is gone");

        return error_set(error, -EIO, "The state cannot be written: %s", strerrordesc_np(-r) ?: "unknown error");
}

static int put(ImageWriter *w, const void *data, size_t size, Error *error) {
        int r;

        r = stream_write(w->stream, data, size);
        return r < 0 ? write_error(error, r) : 0;
}

static int put_header(ImageWriter *w, const ImageHeader *header, Error *error) {
        _cleanup_(freep) char *text = NULL;
        ImageStart start = { .format = IMAGE_FORMAT };
        size_t size;
        int r;

        r = image_header_format(header, &text, &size);
        if (r < 0)
                return error_set_errno(error, r, "the state's header cannot be made");

        memcpy(start.magic, IMAGE_MAGIC, sizeof(start.magic));
        start.header_size = (uint32_t)size;
        start.checksum = XXH3_64bits_withSeed(text, size, start.format);
        (void)XXH3_128bits_update(w->whole, &start, sizeof(start));
        (void)XXH3_128bits_update(w->whole, text, size);

        r = put(w, &start, sizeof(start), error);
        return r < 0 ? r : put(w, text, size, error);
}

int image_writer_new(Stream *stream, const ImageHeader *header, ImageWriter **ret_writer, Error *error) {
        _cleanup_(image_writer_freep) ImageWriter *w = NULL;
        int r;

        w = calloc(1, sizeof(ImageWriter));
        if (w)
                w->whole = XXH3_createState();
        if (!w || !w->whole)
                return error_set_errno(error, -ENOMEM, "the state cannot be written");

        w->stream = stream;
        (void)XXH3_128bits_reset(w->whole);
        r = put_header(w, header, error);
        if (r < 0)
                return r;

        *ret_writer = TAKE(w);
        return 0;
}

uint8_t *image_writer_get_buffer(ImageWriter *writer) {
        return writer->frame.data;
}

int image_writer_put(ImageWriter *w, size_t size, Error *error) {
        int r;

        assert(size <= IMAGE_FRAME_MAX);
        if (size == 0)
                return 0;

        w->frame.head = (ImageFrame){
                .kind = IMAGE_FRAME_DATA,
                .size = (uint32_t)size,
                .number = w->n_frames,
                .checksum = XXH3_64bits_withSeed(w->frame.data, size, w->n_frames),
        };
        r = put(w, &w->frame, sizeof(ImageFrame) + size, error);
        if (r < 0)
                return r;

        (void)XXH3_128bits_update(w->whole, &w->frame.head, sizeof(ImageFrame));
        w->n_frames++;
        w->n_bytes += size;
        return 0;
}

int image_writer_finish(ImageWriter *w, Error *error) {
        ImageEnd end = { .n_bytes = w->n_bytes };

        XXH128_canonicalFromHash((XXH128_canonical_t *)end.checksum, XXH3_128bits_digest(w->whole));
        w->frame.head = (ImageFrame){
                .kind = IMAGE_FRAME_END,
                .size = sizeof(end),
                .number = w->n_frames,
                .checksum = XXH3_64bits_withSeed(&end, sizeof(end), w->n_frames),
        };
        memcpy(w->frame.data, &end, sizeof(end));
        return put(w, &w->frame, sizeof(ImageFrame) + sizeof(end), error);
}

uint64_t image_writer_get_bytes(const ImageWriter *writer) {
        return writer->n_bytes;
}

ImageWriter *image_writer_free(ImageWriter *w) {
        if (!w)
                return NULL;

        (void)XXH3_freeState(w->whole);
        free(w);
        return NULL;
}
