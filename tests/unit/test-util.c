/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What every layer stands on: text, files, lists, maps and the wire's elements.
 */

#include <fcntl.h>
#include <sys/stat.h>

#include "util/error.h"
#include "util/file.h"
#include "util/list.h"
#include "util/map.h"
#include "util/text.h"
#include "util/wire.h"

#include <glib.h>
#include <glib/gstdio.h>

#define UUID "1b4e28ba-2fa1-4d2e-883f-0016d3cca427"

/* What sd-bus takes as a string, without what would act on a terminal. A string that it does not take would make every
 * reply that holds it fail. */
static bool character_is_printable(uint32_t c) {
        if (c < 0x20 || (c >= 0x7f && c < 0xa0))
                return false;
        if (c >= 0xd800 && c <= 0xdfff)
                return false;

        return !(c >= 0xfdd0 && c <= 0xfdef) && (c & 0xfffe) != 0xfffe;
}

static void test_text_characters(void) {
        for (uint32_t c = 1; c <= 0x10ffff; c++) {
                char s[8] = {};

                (void)g_unichar_to_utf8(c, s);
                if (text_is_printable(s) != character_is_printable(c))
                        g_error("U+%04X is%s printable", c, text_is_printable(s) ? "" : " not");
        }
}

/* Whatever the bytes are: what is printable is UTF-8, and after cleaning all of it is printable and as long as before. */
static void check_bytes(const char *bytes) {
        char s[8];
        size_t n = strlen(bytes);

        if (text_is_printable(bytes) && !g_utf8_validate(bytes, -1, NULL))
                g_error("taken for text: %02x %02x %02x %02x", (uint8_t)bytes[0], (uint8_t)bytes[1], (uint8_t)bytes[2],
                        (uint8_t)bytes[3]);

        memcpy(s, bytes, sizeof(s));
        text_sanitize(s);
        if (strlen(s) != n || !text_is_printable(s) || (text_is_printable(bytes) && !streq(s, bytes)))
                g_error("not cleaned: %02x %02x %02x %02x", (uint8_t)bytes[0], (uint8_t)bytes[1], (uint8_t)bytes[2],
                        (uint8_t)bytes[3]);
}

static void test_text_bytes(void) {
        char s[8] = {};

        for (uint32_t i = 0; i < 0x10000; i++) {
                s[0] = (char)(i >> 8);
                s[1] = (char)i;
                check_bytes(s);
        }

        for (unsigned i = 0; i < 500000; i++) {
                uint32_t v = (uint32_t)g_test_rand_int();

                memcpy(s, &v, sizeof(v));
                /* Half of them begin as a long character does. */
                if (i % 2)
                        s[0] = (char)(0xe0 | (v & 0x1f));
                check_bytes(s);
        }
}

static void test_text_copy(void) {
        static const char text[] = "aä€😀z"; /* 1, 2, 3, 4 and 1 bytes */
        static const size_t fits[] = { 0, 0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10 };
        char buffer[16];

        for (size_t size = 1; size < ELEMENTSOF(fits); size++) {
                memset(buffer, 'x', sizeof(buffer));
                g_assert_false(text_copy(buffer, size, text));
                g_assert_cmpuint(strlen(buffer), ==, fits[size]);
                g_assert_cmpint(strncmp(buffer, text, fits[size]), ==, 0);
                for (size_t i = size; i < sizeof(buffer); i++)
                        g_assert_cmpint(buffer[i], ==, 'x');
        }

        g_assert_true(text_copy(buffer, sizeof(text), text));
        g_assert_cmpstr(buffer, ==, text);
}

static void test_text_names(void) {
        static const char *const good[] = { "0000:41:00.0", "...", "a", "-", "é", "gpu0", "nvidia-530" };
        static const char *const bad[] = { "", ".", "..", "/", "a/b", "../a", "a/", "a\nb", "\x7f", "\xc3", "a\xff" };
        char long_name[257];

        for (size_t i = 0; i < ELEMENTSOF(good); i++)
                g_assert_true(text_is_name(good[i]));
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                g_assert_false(text_is_name(bad[i]));

        memset(long_name, 'a', sizeof(long_name));
        long_name[256] = '\0';
        g_assert_false(text_is_name(long_name));
        long_name[255] = '\0';
        g_assert_true(text_is_name(long_name));
}

static void test_text_uuid(void) {
        static const char *const bad[] = {
                "",
                "1b4e28ba-2fa1-4d2e-883f-0016d3cca42",
                UUID "0",
                UUID "\n",
                "1b4e28ba-2fa1-4d2e-883f-0016d3cca42g",
                "1b4e28ba-2fa1-4d2e-883f+0016d3cca427",
                "1b4e28ba2fa1-4d2e-883f-00016d3cca427",
                "{b4e28ba-2fa1-4d2e-883f-0016d3cca42}",
                " b4e28ba-2fa1-4d2e-883f-0016d3cca427",
                "../../../../../../../../../etc/passwd",
        };
        char uuid[37] = "untouched";

        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                g_assert_cmpint(text_parse_uuid(bad[i], uuid), ==, -EINVAL);
        g_assert_cmpstr(uuid, ==, "untouched");

        g_assert_cmpint(text_parse_uuid("1B4E28BA-2FA1-4D2E-883F-0016D3CCA427", uuid), ==, 0);
        g_assert_cmpstr(uuid, ==, UUID);
}

/* The first code and sentence stay; a sentence that is too long ends at a character and is still text. */
static void test_error(void) {
        Error error = ERROR_NULL;
        char text[600];

        memset(text, 'a', sizeof(text));
        memcpy(text + 510, "€", 4);
        g_assert_cmpint(error_set(&error, -ERROR_BUSY, "%s\n", text), ==, -ERROR_BUSY);
        g_assert_cmpint(error.code, ==, -ERROR_BUSY);
        g_assert_cmpuint(strlen(error.message), ==, sizeof(error.message) - 1);
        g_assert_true(text_is_printable(error.message));

        g_assert_cmpint(error_set_errno(&error, -EIO, "another"), ==, -EIO);
        g_assert_cmpint(error.code, ==, -ERROR_BUSY);
        g_assert_cmpint(error_set(NULL, -EIO, "to nobody"), ==, -EIO);

        error = ERROR_NULL;
        (void)error_set_errno(&error, -EIO, "reading");
        g_assert_cmpstr(error.message, ==, "reading: Input/output error");
}

/* Runs test in a folder of its own. */
static void in_folder(void (*test)(int dir_fd, const char *path)) {
        g_autofree char *path = g_dir_make_tmp("mdevgpu-XXXXXX", NULL);
        _cleanup_(fd_closep) int fd = -EBADF;
        _cleanup_(dir_closep) DIR *dir = NULL;
        struct dirent *entry;

        fd = directory_open(AT_FDCWD, path);
        g_assert_cmpint(fd, >=, 0);
        test(fd, path);

        g_assert_cmpint(directory_list(fd, ".", &dir), ==, 0);
        while ((entry = directory_next(dir)))
                if (unlinkat(fd, entry->d_name, 0) < 0)
                        g_assert_cmpint(unlinkat(fd, entry->d_name, AT_REMOVEDIR), ==, 0);
        g_assert_cmpint(g_rmdir(path), ==, 0);
}

static void put_file(int dir_fd, const char *name, const char *data, size_t size) {
        _cleanup_(fd_closep) int fd = -EBADF;

        fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpint(write(fd, data, size), ==, (ssize_t)size);
}

static void attributes(int dir_fd, const char *path) {
        char buffer[8];

        put_file(dir_fd, "plain", "abc", 3);
        g_assert_cmpint(attribute_read(dir_fd, "plain", buffer, sizeof(buffer)), ==, 3);
        g_assert_cmpstr(buffer, ==, "abc");

        put_file(dir_fd, "line", "abc\n", 4);
        g_assert_cmpint(attribute_read(dir_fd, "line", buffer, sizeof(buffer)), ==, 3);
        put_file(dir_fd, "lines", "a\nb\n\n", 5);
        g_assert_cmpint(attribute_read(dir_fd, "lines", buffer, sizeof(buffer)), ==, 4);
        g_assert_cmpstr(buffer, ==, "a\nb\n");
        put_file(dir_fd, "empty", "", 0);
        g_assert_cmpint(attribute_read(dir_fd, "empty", buffer, sizeof(buffer)), ==, 0);
        put_file(dir_fd, "newline", "\n", 1);
        g_assert_cmpint(attribute_read(dir_fd, "newline", buffer, sizeof(buffer)), ==, 0);

        put_file(dir_fd, "nul", "a\0b", 3);
        g_assert_cmpint(attribute_read(dir_fd, "nul", buffer, sizeof(buffer)), ==, -EBADMSG);
        put_file(dir_fd, "full", "abcdefg", 7);
        g_assert_cmpint(attribute_read(dir_fd, "full", buffer, sizeof(buffer)), ==, 7);
        put_file(dir_fd, "large", "abcdefgh", 8);
        g_assert_cmpint(attribute_read(dir_fd, "large", buffer, sizeof(buffer)), ==, -E2BIG);

        g_assert_cmpint(attribute_read(dir_fd, "none", buffer, sizeof(buffer)), ==, -ENOENT);
        g_assert_cmpint(attribute_read(dir_fd, ".", buffer, sizeof(buffer)), ==, -EISDIR);

        put_file(dir_fd, "dirty", "a\n\x1b\xff", 4);
        attribute_read_text(dir_fd, "dirty", buffer, sizeof(buffer));
        g_assert_cmpstr(buffer, ==, "a???");
        attribute_read_text(dir_fd, "large", buffer, sizeof(buffer));
        g_assert_cmpstr(buffer, ==, "");

        /* Nobody writes to it: it must not be waited for. */
        g_assert_cmpint(mkfifoat(dir_fd, "pipe", 0600), ==, 0);
        g_assert_cmpint(attribute_read(dir_fd, "pipe", buffer, sizeof(buffer)), ==, 0);
}

static void test_attributes(void) {
        in_folder(attributes);
}

static void numbers(int dir_fd, const char *path) {
        static const struct {
                const char *text;
                uint64_t max;
                int r;
                uint64_t value;
        } cases[] = {
                { "0\n", 10, 0, 0 },
                { "10\n", 10, 0, 10 },
                { "11\n", 10, -EBADMSG, 0 },
                { "0x030200\n", 0xffffff, 0, 0x030200 },
                { "18446744073709551615", UINT64_MAX, 0, UINT64_MAX },
                { "18446744073709551616", UINT64_MAX, -EBADMSG, 0 },
                { "-1\n", UINT64_MAX, -EBADMSG, 0 },
                { "+1\n", UINT64_MAX, -EBADMSG, 0 },
                { " 1\n", UINT64_MAX, -EBADMSG, 0 },
                { "1 \n", UINT64_MAX, -EBADMSG, 0 },
                { "1\n\n", UINT64_MAX, -EBADMSG, 0 },
                { "0x\n", UINT64_MAX, -EBADMSG, 0 },
                { "1k\n", UINT64_MAX, -EBADMSG, 0 },
                { "\n", UINT64_MAX, -EBADMSG, 0 },
                { "", UINT64_MAX, -EBADMSG, 0 },
                { "00000000000000000000000000000000000000000000000000000000000000000000", UINT64_MAX, -E2BIG, 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                uint64_t v = 4711;

                put_file(dir_fd, "n", cases[i].text, strlen(cases[i].text));
                g_assert_cmpint(attribute_read_number(dir_fd, "n", cases[i].max, &v), ==, cases[i].r);
                g_assert_cmpuint(v, ==, cases[i].r < 0 ? 4711 : cases[i].value);
        }
}

static void test_numbers(void) {
        in_folder(numbers);
}

static void links(int dir_fd, const char *path) {
        g_autofree char *deep = g_strnfill(3000, '/');
        char buffer[16];

        g_assert_cmpint(symlinkat("../../devices/0000:41:00.0", dir_fd, "device"), ==, 0);
        g_assert_cmpint(link_read_basename(dir_fd, "device", buffer, sizeof(buffer)), ==, 0);
        g_assert_cmpstr(buffer, ==, "0000:41:00.0");
        g_assert_cmpint(link_read_basename(dir_fd, "device", buffer, 12), ==, -EBADMSG);
        g_assert_true(path_exists(dir_fd, "device")); /* where it leads does not matter */

        g_assert_cmpint(symlinkat("bare", dir_fd, "bare"), ==, 0);
        g_assert_cmpint(link_read_basename(dir_fd, "bare", buffer, sizeof(buffer)), ==, 0);
        g_assert_cmpint(symlinkat("a/..", dir_fd, "up"), ==, 0);
        g_assert_cmpint(link_read_basename(dir_fd, "up", buffer, sizeof(buffer)), ==, -EBADMSG);
        g_assert_cmpint(symlinkat("a/", dir_fd, "slash"), ==, 0);
        g_assert_cmpint(link_read_basename(dir_fd, "slash", buffer, sizeof(buffer)), ==, -EBADMSG);
        g_assert_cmpint(symlinkat("a/b\nc", dir_fd, "control"), ==, 0);
        g_assert_cmpint(link_read_basename(dir_fd, "control", buffer, sizeof(buffer)), ==, -EBADMSG);
        g_assert_cmpint(symlinkat(deep, dir_fd, "deep"), ==, 0);
        g_assert_cmpint(link_read_basename(dir_fd, "deep", buffer, sizeof(buffer)), ==, -EBADMSG);

        put_file(dir_fd, "file", "", 0);
        g_assert_cmpint(link_read_basename(dir_fd, "file", buffer, sizeof(buffer)), ==, -EINVAL);
        g_assert_cmpint(link_read_basename(dir_fd, "none", buffer, sizeof(buffer)), ==, -ENOENT);
}

static void test_links(void) {
        in_folder(links);
}

static unsigned count_entries(int dir_fd) {
        _cleanup_(dir_closep) DIR *dir = NULL;
        unsigned n = 0;

        g_assert_cmpint(directory_list(dir_fd, ".", &dir), ==, 0);
        while (directory_next(dir))
                n++;
        return n;
}

/* Who has the old file open goes on reading the old contents; nothing is left beside the new one. */
static void replaces(int dir_fd, const char *path) {
        _cleanup_(fd_closep) int old = -EBADF;
        char buffer[64];

        g_assert_cmpint(file_replace(dir_fd, "f", "first\n"), ==, 0);
        old = openat(dir_fd, "f", O_RDONLY | O_CLOEXEC);
        g_assert_cmpint(file_replace(dir_fd, "f", "second, which is longer\n"), ==, 0);
        g_assert_cmpint(attribute_read(dir_fd, "f", buffer, sizeof(buffer)), >, 0);
        g_assert_cmpstr(buffer, ==, "second, which is longer");
        g_assert_cmpint(read(old, buffer, sizeof(buffer)), ==, 6);
        g_assert_cmpuint(count_entries(dir_fd), ==, 1);

        /* What a writer that was killed has left is no obstacle. */
        put_file(dir_fd, ".#f", "left over and very much longer than what comes", 46);
        g_assert_cmpint(file_replace(dir_fd, "f", "third"), ==, 0);
        g_assert_cmpint(attribute_read(dir_fd, "f", buffer, sizeof(buffer)), ==, 5);
        g_assert_cmpuint(count_entries(dir_fd), ==, 1);

        /* A failure leaves the old file, and nothing else. */
        g_assert_cmpint(mkdirat(dir_fd, "d", 0700), ==, 0);
        g_assert_cmpint(file_replace(dir_fd, "d", "x"), ==, -EISDIR);
        g_assert_cmpuint(count_entries(dir_fd), ==, 2);
}

/* One at a time, in whatever process, and nothing is left of it. */
static void locks(int dir_fd, const char *path) {
        int fd = file_lock(dir_fd, "f");

        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpint(file_lock(dir_fd, "f"), ==, -EWOULDBLOCK);
        file_unlock(dir_fd, "f", fd);
        g_assert_cmpuint(count_entries(dir_fd), ==, 0);

        /* Who ended without giving it back has it no more. */
        fd = file_lock(dir_fd, "f");
        (void)fd_close(fd);
        fd = file_lock(dir_fd, "f");
        g_assert_cmpint(fd, >=, 0);
        file_unlock(dir_fd, "f", fd);
}

static void test_lock(void) {
        in_folder(locks);
}

static void test_replace(void) {
        in_folder(replaces);
}

typedef struct Element {
        List link;
        MapNode node;
        char key[16];
        bool in;
} Element;

#define N_ELEMENTS 200

static void check_list(List *head, Element *const *model, size_t n) {
        size_t i = 0;
        Element *e;

        LIST_FOREACH(e, head, link) {
                g_assert_true(i < n && e == model[i]);
                i++;
        }
        g_assert_cmpuint(i, ==, n);
        g_assert_cmpint(list_is_empty(head), ==, n == 0);
        g_assert_true(LIST_FIRST(head, Element, link) == (n > 0 ? model[0] : NULL));
}

/* Random operations, compared with an array that does the same. */
static void test_list(void) {
        Element elements[N_ELEMENTS] = {}, *model[N_ELEMENTS], *e;
        size_t n = 0;
        List head;

        list_init(&head);
        for (size_t i = 0; i < N_ELEMENTS; i++)
                list_init(&elements[i].link);

        for (unsigned round = 0; round < 20000; round++) {
                Element *x = &elements[g_test_rand_int_range(0, N_ELEMENTS)];
                size_t at = n;

                for (size_t i = 0; i < n; i++)
                        if (model[i] == x)
                                at = i;

                if (at < n) {
                        list_unlink(&x->link);
                        list_unlink(&x->link); /* harmless */
                        memmove(&model[at], &model[at + 1], (--n - at) * sizeof(Element *));
                } else {
                        list_append(&head, &x->link);
                        model[n++] = x;
                }
                check_list(&head, model, n);
        }

        /* The body may unlink what it is given. */
        LIST_FOREACH(e, &head, link)
                list_unlink(&e->link);
        check_list(&head, model, 0);
}

static void test_map(void) {
        g_autofree Element *elements = g_new0(Element, 2000);
        size_t n = 0;
        Map map = {};

        for (unsigned i = 0; i < 2000; i++)
                (void)snprintf(elements[i].key, sizeof(elements[i].key), "%x", i * 2654435761U);

        g_assert_null(map_find(&map, "0"));
        for (unsigned round = 0; round < 200000; round++) {
                Element *x = &elements[g_test_rand_int_range(0, 2000)];

                g_assert_true(MAP_FIND(&map, x->key, Element, node) == (x->in ? x : NULL));
                if (x->in && g_test_rand_bit()) {
                        map_remove(&map, &x->node);
                        x->in = false;
                        n--;
                } else if (x->in) {
                        MapNode other;

                        g_assert_cmpint(map_add(&map, &other, x->key), ==, -EEXIST);
                } else {
                        g_assert_cmpint(map_add(&map, &x->node, x->key), ==, 0);
                        x->in = true;
                        n++;
                }
                g_assert_cmpuint(map.n, ==, n);
        }

        for (unsigned i = 0; i < 2000; i++)
                if (elements[i].in)
                        map_remove(&map, &elements[i].node);
        map_done(&map);
        map_done(&map);
}

typedef struct Fields {
        uint8_t u8;
        bool flag;
        uint32_t u32, kind;
        uint64_t u64;
        size_t count;
        char text[16], more[16];
} Fields;

static void put_fields(WireWriter *w) {
        wire_put_u8(w, 0xff);
        wire_put_u8(w, 1);
        wire_put_u32(w, UINT32_MAX);
        wire_put_u32(w, 2);
        wire_put_u64(w, UINT64_MAX);
        wire_put_u32(w, 3); /* a count */
        wire_put_string(w, "grün");
        wire_put_string(w, "fifteen bytes..");
}

static int get_fields(const uint8_t *data, size_t size, Fields *f) {
        WireReader r = { .data = data, .size = size };

        memset(f, 0xaa, sizeof(*f));
        f->u8 = wire_get_u8(&r);
        f->flag = wire_get_bool(&r);
        f->u32 = wire_get_u32(&r);
        f->kind = wire_get_enum(&r, 3);
        f->u64 = wire_get_u64(&r);
        f->count = wire_get_count(&r, 4);
        wire_get_string(&r, f->text, sizeof(f->text));
        wire_get_string(&r, f->more, sizeof(f->more));
        return wire_reader_finish(&r);
}

/* Whether it was refused or not: nothing that a decoder yields is out of its bounds. */
static void check_fields(const Fields *f) {
        g_assert_true(f->flag == true || f->flag == false);
        g_assert_cmpuint(f->kind, <, 3);
        g_assert_cmpuint(f->count, <=, 4);
        g_assert_nonnull(memchr(f->text, '\0', sizeof(f->text)));
        g_assert_nonnull(memchr(f->more, '\0', sizeof(f->more)));
        g_assert_true(text_is_printable(f->text) && text_is_printable(f->more));
}

/* In memory of exactly their size, so that a sanitizer sees every byte read beyond. */
static int decode_copy(const uint8_t *data, size_t size, Fields *f) {
        g_autofree uint8_t *copy = g_malloc(MAX(size, 1U));
        int r;

        memcpy(copy, data, size);
        r = get_fields(copy, size, f);
        check_fields(f);
        return r;
}

static void test_wire(void) {
        WireWriter w = {};
        Fields f;

        put_fields(&w);
        g_assert_cmpint(w.error, ==, 0);
        g_assert_cmpint(decode_copy(w.data, w.size, &f), ==, 0);
        g_assert_cmpuint(f.u8, ==, 0xff);
        g_assert_true(f.flag);
        g_assert_cmpuint(f.u32, ==, UINT32_MAX);
        g_assert_cmpuint(f.kind, ==, 2);
        g_assert_cmpuint(f.u64, ==, UINT64_MAX);
        g_assert_cmpuint(f.count, ==, 3);
        g_assert_cmpstr(f.text, ==, "grün");
        g_assert_cmpstr(f.more, ==, "fifteen bytes..");

        for (size_t n = 0; n < w.size; n++)
                g_assert_cmpint(decode_copy(w.data, n, &f), ==, -EBADMSG);

        wire_put_u8(&w, 0);
        g_assert_cmpint(decode_copy(w.data, w.size, &f), ==, -EBADMSG);
        w.size--;

        for (size_t i = 0; i < w.size * 8; i++) {
                w.data[i / 8] ^= (uint8_t)(1U << i % 8);
                (void)decode_copy(w.data, w.size, &f);
                w.data[i / 8] ^= (uint8_t)(1U << i % 8);
        }

        for (unsigned i = 0; i < 100000; i++) {
                g_autofree uint8_t *copy = g_memdup2(w.data, w.size);

                for (int k = g_test_rand_int_range(1, 6); k > 0; k--)
                        copy[g_test_rand_int_range(0, (int)w.size)] = (uint8_t)g_test_rand_int();
                (void)decode_copy(copy, (size_t)g_test_rand_int_range(0, (int)w.size + 1), &f);
        }

        wire_writer_done(&w);
}

/* After the first thing that is wrong everything is zero, whatever follows. */
static void test_wire_bad(void) {
        static const struct {
                uint32_t n;
                char text[20];
        } cases[] = {
                { 4, "ab\0c" },         { 4, "a\nbc" },     { 4, "\xff\xff\xff\xff" }, { 16, "sixteen bytes..." },
                { UINT32_MAX, "abcd" }, { 0x80000000, "" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                WireWriter w = {};
                WireReader r;
                char text[16];

                wire_put_u32(&w, cases[i].n);
                for (size_t k = 0; k < sizeof(cases[i].text); k++)
                        wire_put_u8(&w, (uint8_t)cases[i].text[k]);
                wire_put_u64(&w, UINT64_MAX);

                r = (WireReader){ .data = w.data, .size = w.size };
                wire_get_string(&r, text, sizeof(text));
                g_assert_cmpstr(text, ==, "");
                g_assert_true(r.bad);
                g_assert_cmpuint(wire_get_u64(&r), ==, 0);
                g_assert_cmpuint(wire_get_u8(&r), ==, 0);
                g_assert_cmpint(wire_reader_finish(&r), ==, -EBADMSG);
                wire_writer_done(&w);
        }
}

static void test_wire_limit(void) {
        g_autofree char *text = g_strnfill(WIRE_FRAME_MAX - 8, 'a');
        WireWriter w = {};

        wire_put_string(&w, text);
        wire_put_u32(&w, 0);
        g_assert_cmpint(w.error, ==, 0);
        g_assert_cmpuint(w.size, ==, WIRE_FRAME_MAX);
        wire_put_u8(&w, 0);
        g_assert_cmpint(w.error, ==, -E2BIG);
        wire_put_u8(&w, 0);
        g_assert_cmpuint(w.size, ==, WIRE_FRAME_MAX);
        wire_writer_done(&w);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);

        g_test_add_func("/text/characters", test_text_characters);
        g_test_add_func("/text/bytes", test_text_bytes);
        g_test_add_func("/text/copy", test_text_copy);
        g_test_add_func("/text/names", test_text_names);
        g_test_add_func("/text/uuid", test_text_uuid);
        g_test_add_func("/error", test_error);
        g_test_add_func("/file/attributes", test_attributes);
        g_test_add_func("/file/numbers", test_numbers);
        g_test_add_func("/file/links", test_links);
        g_test_add_func("/file/replace", test_replace);
        g_test_add_func("/file/lock", test_lock);
        g_test_add_func("/list", test_list);
        g_test_add_func("/map", test_map);
        g_test_add_func("/wire", test_wire);
        g_test_add_func("/wire/bad", test_wire_bad);
        g_test_add_func("/wire/limit", test_wire_limit);

        return g_test_run();
}
