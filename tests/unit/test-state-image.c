/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "state/image-format.h"

#include <glib.h>

#define UUID_1 "11111111-1111-4111-8111-111111111111"
#define NO_CANCEL (-EBADF)

static void fill_header(ImageHeader *h) {
        image_header_init(h);
        h->created_usec = 1764108000000000;
        strcpy(h->host, "host-a");
        strcpy(h->uuid, UUID_1);
        strcpy(h->label, "web \"1\"/ü");
        h->kind = VGPU_MDEV;
        h->vendor_id = 0x10de;
        h->device_id = 0x20b0;
        strcpy(h->gpu, "0000:41:00.0");
        strcpy(h->backend, "shim");
        strcpy(h->driver, "mdevgpu_ref");
        strcpy(h->driver_version, "1");
        strcpy(h->type.id, "mdevgpu_ref-1");
        strcpy(h->type.name, "Test/Small");
        h->type.max_instances = 4;
        h->type.framebuffer = UINT64_C(2) << 30;
        h->migration_flags = 7;
        h->size = 3 * IMAGE_FRAME_MAX / 2;
        g_assert_cmpint(facts_add_u64(&h->facts, "user-version", 3), ==, 0);
        g_assert_cmpint(facts_add_bool(&h->facts, "streaming", true), ==, 0);
        g_assert_cmpint(facts_add_text(&h->facts, "metadata", "abc"), ==, 0);
        g_assert_cmpint(attributes_add(&h->attributes, "weight", "7", NULL), ==, 0);
        g_assert_cmpint(attributes_add(&h->attributes, "weight", "8", NULL), ==, 0);
}

static int memory_file(void) {
        int fd = memfd_create("image", MFD_CLOEXEC);

        g_assert_cmpint(fd, >=, 0);
        return fd;
}

static uint8_t pattern(size_t i) {
        return (uint8_t)(i * 2654435761U >> 24);
}

/* size bytes of data in frames of at most chunk. */
static int write_image(int fd, size_t size, size_t chunk) {
        _cleanup_(image_writer_freep) ImageWriter *w = NULL;
        Error error = ERROR_NULL;
        ImageHeader header;
        Stream stream;

        fill_header(&header);
        g_assert_cmpint(stream_init(&stream, fd, NO_CANCEL, STREAM_STALL_USEC), ==, 0);
        (void)image_writer_new(&stream, &header, &w, &error);
        image_header_done(&header);
        if (!w)
                return error.code;
        for (size_t done = 0; done < size;) {
                size_t n = MIN(chunk, size - done);

                for (size_t i = 0; i < n; i++)
                        image_writer_get_buffer(w)[i] = pattern(done + i);
                if (image_writer_put(w, n, &error) < 0)
                        return error.code;
                done += n;
        }
        return image_writer_finish(w, &error);
}

/* All of it; 0 or the first error. */
static int read_image(int fd, size_t size, Error *error) {
        _cleanup_(image_reader_freep) ImageReader *reader = NULL;
        const uint8_t *data;
        Stream stream;
        size_t n, done = 0;
        int r;

        g_assert_cmpint(stream_init(&stream, fd, NO_CANCEL, STREAM_STALL_USEC), ==, 0);
        r = image_reader_new(&stream, &reader, error);
        while (r >= 0) {
                r = image_reader_next(reader, &data, &n, error);
                if (r < 0 || n == 0)
                        break;
                for (size_t i = 0; i < n; i++)
                        g_assert_cmpuint(data[i], ==, pattern(done + i));
                done += n;
        }
        if (r >= 0)
                g_assert_cmpuint(done, ==, size);
        return r;
}

static int read_bytes(const uint8_t *bytes, size_t n, size_t size, Error *error) {
        _cleanup_(fd_closep) int fd = memory_file();

        g_assert_cmpint(write(fd, bytes, n), ==, (ssize_t)n);
        g_assert_cmpint(lseek(fd, 0, SEEK_SET), ==, 0);
        *error = ERROR_NULL;
        return read_image(fd, size, error);
}

static void test_round_trip(void) {
        const size_t sizes[] = { 1, IMAGE_FRAME_MAX - 1, IMAGE_FRAME_MAX, 5 * IMAGE_FRAME_MAX / 2 };

        for (size_t i = 0; i < ELEMENTSOF(sizes); i++) {
                _cleanup_(fd_closep) int fd = memory_file();
                Error error = ERROR_NULL;

                g_assert_cmpint(write_image(fd, sizes[i], IMAGE_FRAME_MAX), ==, 0);
                g_assert_cmpint(lseek(fd, 0, SEEK_SET), ==, 0);
                g_assert_cmpint(read_image(fd, sizes[i], &error), ==, 0);
        }
}

static void test_header(void) {
        Error error = ERROR_NULL;
        ImageHeader a, b;
        char *text;
        size_t size;

        fill_header(&a);
        g_assert_cmpint(image_header_format(&a, &text, &size), ==, 0);
        image_header_init(&b);
        g_assert_cmpint(image_header_parse(text, size, &b, &error), ==, 0);
        g_assert_cmpstr(b.uuid, ==, a.uuid);
        g_assert_cmpstr(b.label, ==, a.label);
        g_assert_cmpuint(b.vendor_id, ==, 0x10de);
        g_assert_cmpuint(b.subsystem_id, ==, UNKNOWN_U32);
        g_assert_cmpstr(b.type.id, ==, a.type.id);
        g_assert_cmpuint(b.type.framebuffer, ==, a.type.framebuffer);
        g_assert_cmpuint(b.type.heads, ==, UNKNOWN_U32);
        g_assert_cmpuint(b.size, ==, a.size);
        g_assert_cmpuint(b.facts.n, ==, 3);
        g_assert_cmpuint(facts_find(&b.facts, "user-version")->number, ==, 3);
        g_assert_true(attributes_equal(&a.attributes, &b.attributes));
        free(text);
        image_header_done(&a);
        image_header_done(&b);
}

static void test_headers_refused(void) {
        static const struct {
                const char *from, *to, *part;
        } cases[] = {
                { "\"uuid\":\"1", "\"uuid\":\"x", "\"uuid\" is none" },
                { "\"uuid\"", "\"uiud\"", "\"uuid\" is missing" },
                { "\"kind\":\"mdev\"", "\"kind\":\"dev\"", "\"kind\" is none" },
                { "\"id\":\"mdevgpu_ref-1\"", "\"id\":\"../x\"", "\"id\" is no type's" },
                { "\"backend\":\"shim\"", "\"backend\":\"shimshimshimshimshimshimshimshimshim\"", "too long" },
                { "\"vendor\":4318", "\"vendor\":4294967296", "no number that fits" },
                { "\"vendor\":4318", "\"vendor\":-1", "no number that fits" },
                { "\"vendor\":4318", "\"vendor\":\"4318\"", "no number that fits" },
                { "\"host\":\"host-a\"", "\"host\":\"a\\u001b[31m\"", "is no text" },
                { "\"host\":\"host-a\"", "\"host\":\"a\\u0000b\"", "is no text" },
                { "\"migration\":{", "\"migration\":{\"Upper\":1,", "nothing that is known" },
                { "\"migration\":{", "\"migration\":{\"a\":[1],", "nothing that is known" },
                { "{\"weight\":\"7\"}", "{\"../weight\":\"7\"}", "cannot be written" },
                { "{\"weight\":\"7\"}", "{\"weight\":7}", "no text" },
                { "{\"weight\":\"7\"}", "[[[[[[[[1]]]]]]]]", "no JSON" },
                { "{\"gpu\"", "[{\"gpu\"", "no JSON" },
        };
        g_autofree char *text = NULL;
        ImageHeader header;
        size_t size;

        fill_header(&header);
        g_assert_cmpint(image_header_format(&header, &text, &size), ==, 0);
        image_header_done(&header);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                g_auto(GStrv) parts = g_strsplit(text, cases[i].from, 2);
                g_autofree char *changed = g_strjoinv(cases[i].to, parts);
                Error error = ERROR_NULL;

                g_assert_cmpuint(g_strv_length(parts), ==, 2);
                image_header_init(&header);
                g_assert_cmpint(image_header_parse(changed, strlen(changed), &header, &error), ==, -EILSEQ);
                if (!strstr(error.message, cases[i].part))
                        g_error("%s: %s", changed, error.message);
                image_header_done(&header);
        }
}

/* No single byte can be another one, and none can be missing. */
static void test_every_byte(void) {
        _cleanup_(fd_closep) int fd = memory_file();
        g_autofree uint8_t *bytes = NULL;
        Error error;
        size_t n;

        g_assert_cmpint(write_image(fd, 300, 100), ==, 0);
        n = (size_t)lseek(fd, 0, SEEK_END);
        bytes = g_malloc(n);
        g_assert_cmpint(pread(fd, bytes, n, 0), ==, (ssize_t)n);
        g_assert_cmpint(read_bytes(bytes, n, 300, &error), ==, 0);

        for (size_t i = 0; i < n; i++) {
                for (unsigned bit = 0; bit < 8; bit += 7) {
                        bytes[i] ^= (uint8_t)(1U << bit);
                        g_assert_cmpint(read_bytes(bytes, n, 300, &error), ==, -EILSEQ);
                        g_assert_cmpstr(error.message, !=, "");
                        bytes[i] ^= (uint8_t)(1U << bit);
                }
                g_assert_cmpint(read_bytes(bytes, i, 300, &error), ==, -EILSEQ);
        }
}

/* Whole frames that are missing, come twice or in another order; each of them is right by itself. */
static void test_frames(void) {
        _cleanup_(fd_closep) int fd = memory_file();
        const size_t frame = sizeof(ImageFrame) + 100, tail = sizeof(ImageFrame) + sizeof(ImageEnd);
        g_autofree uint8_t *bytes = NULL, *other = NULL;
        Error error;
        size_t n, head;

        g_assert_cmpint(write_image(fd, 300, 100), ==, 0);
        n = (size_t)lseek(fd, 0, SEEK_END);
        head = n - tail - 3 * frame;
        bytes = g_malloc(n + frame);
        other = g_malloc(n + frame);
        g_assert_cmpint(pread(fd, bytes, n, 0), ==, (ssize_t)n);

        memcpy(other, bytes, n);
        memcpy(other + head + frame, bytes + head + 2 * frame, n - head - 2 * frame); /* the second is missing */
        g_assert_cmpint(read_bytes(other, n - frame, 300, &error), ==, -EILSEQ);
        g_assert_nonnull(strstr(error.message, "stands where"));
        memcpy(other, bytes, n);
        memcpy(other + head + 2 * frame, bytes + head + frame, n - head - frame); /* comes twice */
        g_assert_cmpint(read_bytes(other, n + frame, 300, &error), ==, -EILSEQ);
        memcpy(other, bytes, n);
        memcpy(other + head + 2 * frame, bytes + n - tail, tail); /* the last is missing, and the end has its number */
        other[head + 2 * frame + offsetof(ImageFrame, number)] = 2;
        g_assert_cmpint(read_bytes(other, n - frame, 300, &error), ==, -EILSEQ);
        bytes[offsetof(ImageStart, format)] = IMAGE_FORMAT + 1;
        g_assert_cmpint(read_bytes(bytes, n, 300, &error), ==, -EILSEQ);
        g_assert_nonnull(strstr(error.message, "knows only"));
}

/* As pipes and sockets give it: in pieces, and taken slowly. */
static void test_slow_peer(void) {
        for (unsigned kind = 0; kind < 2; kind++) {
                int fds[2], status;
                pid_t pid;

                g_assert_cmpint(kind == 0 ? pipe2(fds, O_CLOEXEC) : socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds),
                                ==, 0);
                pid = fork();
                if (pid == 0) {
                        Error error = ERROR_NULL;

                        (void)close(fds[1]);
                        (void)usleep(20000);
                        _exit(read_image(fds[0], 3 * IMAGE_FRAME_MAX, &error) == 0 ? 0 : 1);
                }
                (void)close(fds[0]);
                g_assert_cmpint(write_image(fds[1], 3 * IMAGE_FRAME_MAX, IMAGE_FRAME_MAX), ==, 0);
                g_assert_cmpint(fcntl(fds[1], F_GETFL) & O_NONBLOCK, ==, 0);
                (void)close(fds[1]);
                g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
                g_assert_cmpint(status, ==, 0);
        }
}

static void test_peer_gone(void) {
        _cleanup_(fd_closep) int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
        int fds[2];

        g_assert_cmpint(pipe2(fds, O_CLOEXEC), ==, 0);
        (void)close(fds[0]);
        g_assert_cmpint(write_image(fds[1], IMAGE_FRAME_MAX, IMAGE_FRAME_MAX), ==, -EIO);
        (void)close(fds[1]);
        if (full >= 0) {
                const char byte = 0;
                Stream stream;

                g_assert_cmpint(stream_init(&stream, full, NO_CANCEL, STREAM_STALL_USEC), ==, 0);
                g_assert_cmpint(stream_write(&stream, &byte, 1), ==, -ENOSPC);
        }
}

static void test_stall_and_cancel(void) {
        static uint8_t much[1 << 20];
        int data[2], cancel[2];
        uint8_t byte;
        Stream stream;
        size_t n;

        g_assert_cmpint(pipe2(data, O_CLOEXEC), ==, 0);
        g_assert_cmpint(pipe2(cancel, O_CLOEXEC), ==, 0);
        g_assert_cmpint(stream_init(&stream, data[1], cancel[0], 10000), ==, 0);
        g_assert_cmpint(stream_write(&stream, much, sizeof(much)), ==, -ETIMEDOUT);
        g_assert_cmpuint(stream.n_bytes, >, 0);
        g_assert_cmpint(stream_check(&stream), ==, 0);
        (void)close(cancel[1]); /* whoever could cancel it is gone */
        g_assert_cmpint(stream_check(&stream), ==, -ECANCELED);
        g_assert_cmpint(stream_write(&stream, much, 1), ==, -ECANCELED);

        g_assert_cmpint(stream_init(&stream, data[0], NO_CANCEL, 10000), ==, 0);
        for (size_t left = 1 << 22; left > 0 && stream_read(&stream, &byte, 1, &n) == 0;)
                left--;
        g_assert_cmpint(stream_read(&stream, &byte, 1, &n), ==, -ETIMEDOUT);
        g_assert_cmpint(stream_init(&stream, open("/", O_RDONLY | O_CLOEXEC), NO_CANCEL, 1), ==, -EINVAL);
}

/* A byte now and then is as good as none; enough of them are not, however long it takes. */
static void test_trickle(void) {
        const uint64_t stall = 10000;
        static uint8_t bytes[STREAM_STALL_BYTES];
        _cleanup_(fd_closep) int file = memory_file();
        int data[2];
        Stream stream;
        size_t n;

        /* What is waited for counts. */
        g_assert_cmpint(pipe2(data, O_CLOEXEC), ==, 0);
        g_assert_cmpint(stream_init(&stream, data[0], NO_CANCEL, stall), ==, 0);
        g_assert_cmpint(stream_read(&stream, bytes, 1, &n), ==, -ETIMEDOUT);
        g_assert_cmpuint(stream.window_usec, >=, stall);
        (void)close(data[0]);
        (void)close(data[1]);

        /* At the end of a window, so much has to be through; the next one begins then. */
        g_assert_cmpint(ftruncate(file, 1 << 20), ==, 0);
        g_assert_cmpint(stream_init(&stream, file, NO_CANCEL, stall), ==, 0);
        g_assert_cmpint(stream_read(&stream, bytes, sizeof(bytes) - 1, &n), ==, 0);
        g_assert_cmpuint(stream.window_usec, ==, 0); /* it was there */
        stream.window_usec = STREAM_WINDOW_STALLS * stall;
        g_assert_cmpint(stream_read(&stream, bytes, 1, &n), ==, 0);
        g_assert_cmpuint(stream.window_usec, ==, 0);
        g_assert_cmpint(stream_read(&stream, bytes, 1, &n), ==, 0);
        stream.window_usec = STREAM_WINDOW_STALLS * stall;
        g_assert_cmpint(stream_read(&stream, bytes, 1, &n), ==, -ETIMEDOUT);

        /* What writes is measured alike, and an end is an end. */
        stream.window_usec = STREAM_WINDOW_STALLS * stall;
        g_assert_cmpint(stream_write(&stream, bytes, 1), ==, -ETIMEDOUT);
        stream.window_usec = STREAM_WINDOW_STALLS * stall;
        g_assert_cmpint(lseek(file, 0, SEEK_END), >, 0);
        g_assert_cmpint(stream_read(&stream, bytes, 1, &n), ==, 0);
        g_assert_cmpuint(n, ==, 0);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        (void)signal(SIGPIPE, SIG_IGN);

        g_test_add_func("/state-image/round-trip", test_round_trip);
        g_test_add_func("/state-image/header", test_header);
        g_test_add_func("/state-image/headers-refused", test_headers_refused);
        g_test_add_func("/state-image/every-byte", test_every_byte);
        g_test_add_func("/state-image/frames", test_frames);
        g_test_add_func("/state-image/slow-peer", test_slow_peer);
        g_test_add_func("/state-image/peer-gone", test_peer_gone);
        g_test_add_func("/state-image/stall-and-cancel", test_stall_and_cancel);
        g_test_add_func("/state-image/trickle", test_trickle);
        return g_test_run();
}
