/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Any bytes as a state image: once as they are, and once with checksums that are right, so that what they say is reached. It is
 * refused with a sentence, or every value of the header is within its bounds.
 */

#include <sys/mman.h>
#include <xxhash.h>

#include "state/image-format.h"
#include "util/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* abort() and not assert(): a build without assertions would fuzz nothing. */
static void require(bool condition) {
        if (!condition)
                abort();
}

static void check_header(const ImageHeader *h) {
        require(text_is_printable(h->host) && text_is_printable(h->label) && text_is_printable(h->driver));
        require(strlen(h->uuid) == UUID_STRING_SIZE - 1 && text_is_name(h->type.id));
        require(h->kind >= 0 && h->kind < VGPU_KIND_MAX);
        require(h->facts.n <= FACTS_MAX && h->attributes.n <= ATTRIBUTES_MAX);
        for (size_t i = 0; i < h->facts.n; i++)
                require(text_is_printable(h->facts.items[i].text));
}

static void read_all(int fd) {
        _cleanup_(image_reader_freep) ImageReader *reader = NULL;
        Error error = ERROR_NULL;
        Stream stream;
        size_t n = 1;
        int r;

        require(lseek(fd, 0, SEEK_SET) == 0);
        require(stream_init(&stream, fd, -EBADF, 1000) >= 0);
        r = image_reader_new(&stream, &reader, &error);
        if (r >= 0)
                check_header(image_reader_get_header(reader));
        while (r >= 0 && n > 0) {
                const uint8_t *p;

                r = image_reader_next(reader, &p, &n, &error);
                require(r < 0 || n <= IMAGE_FRAME_MAX);
        }
        require(r >= 0 || error.message[0] != '\0');
}

/* The header as it is, and what follows as frames, with checksums of what they say. */
static void write_right(int fd, const uint8_t *data, size_t size) {
        ImageStart start = { .format = IMAGE_FORMAT };
        size_t n = size > 2 ? MIN((size_t)data[0] << 8 | data[1], size - 2) : 0;

        memcpy(start.magic, IMAGE_MAGIC, sizeof(start.magic));
        start.header_size = (uint32_t)n;
        start.checksum = XXH3_64bits_withSeed(data + 2, n, IMAGE_FORMAT);
        require(write(fd, &start, sizeof(start)) == sizeof(start));
        require(n == 0 || write(fd, data + 2, n) == (ssize_t)n);
        data += n + MIN(size, 2U);
        size -= n + MIN(size, 2U);
        for (uint64_t number = 0; size >= sizeof(ImageFrame); number++) {
                ImageFrame frame;

                memcpy(&frame, data, sizeof(frame));
                data += sizeof(frame);
                size -= sizeof(frame);
                n = MIN((size_t)frame.size, size);
                frame.number = number;
                frame.checksum = XXH3_64bits_withSeed(data, n, number);
                require(write(fd, &frame, sizeof(frame)) == sizeof(frame));
                require(n == 0 || write(fd, data, n) == (ssize_t)n);
                data += n;
                size -= n;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static int fd = -EBADF;

        if (fd < 0)
                fd = memfd_create("image", MFD_CLOEXEC);
        require(fd >= 0);

        require(ftruncate(fd, 0) == 0 && lseek(fd, 0, SEEK_SET) == 0);
        require(size == 0 || write(fd, data, size) == (ssize_t)size);
        read_all(fd);

        require(ftruncate(fd, 0) == 0 && lseek(fd, 0, SEEK_SET) == 0);
        write_right(fd, data, size);
        read_all(fd);
        return 0;
}
