/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The hook that libvirt runs around a domain of QEMU's life: https://libvirt.org/hooks.html, libvirt 9.0. It has the vGPUs
 * there that the domain's metadata asks for, before QEMU wants them, and removes those that it made. It never calls libvirt,
 * which waits for it.
 *
 * Of what begins, a failure is the user's to see, and the domain does not start. What ends, ends: the status is 0.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vgpus.h"

/* A domain's XML has some kilobytes. */
#define SIZE_LIMIT ((size_t)16 << 20)

static const struct {
        const char *operation, *stage;
        int (*begin)(const Domain *domain);
        void (*end)(const Domain *domain);
        void (*hold)(const Domain *domain); /* before end, and after begin */
} EVENTS[] = {
        { "prepare", "begin", vgpus_prepare, NULL, vgpus_hold },
        { "migrate", "begin", vgpus_prepare_incoming, NULL, NULL },
        { "started", "begin", NULL, NULL, vgpus_end_hold },
        { "release", "end", NULL, vgpus_release, vgpus_end_hold },
};

static int read_stdin(char **ret_text, size_t *ret_size) {
        char *text = NULL;
        size_t n = 0;

        for (;;) {
                char *more = realloc(text, n + 65536);
                ssize_t k;

                if (!more || n > SIZE_LIMIT) {
                        free(more ? more : text);
                        return more ? -EFBIG : -ENOMEM;
                }
                text = more;
                k = read(STDIN_FILENO, text + n, 65536);
                if (k < 0 && errno != EINTR) {
                        free(text);
                        return -errno;
                }
                if (k == 0)
                        break;
                n += k > 0 ? (size_t)k : 0;
        }

        *ret_text = text;
        *ret_size = n;
        return 0;
}

static int load(Domain *ret_domain) {
        const char *problem = "it cannot be read";
        char *text = NULL;
        size_t size = 0;
        int r;

        r = read_stdin(&text, &size);
        if (r >= 0)
                r = domain_parse(text, size, ret_domain, &problem);
        free(text);
        if (r < 0)
                fprintf(stderr, "mdevgpud: the domain's XML: %s\n", problem);
        return r;
}

static int handle(size_t event) {
        Domain domain = {};
        int r;

        r = load(&domain);
        if (r >= 0 && EVENTS[event].begin)
                r = EVENTS[event].begin(&domain);
        if (r >= 0 && EVENTS[event].hold)
                EVENTS[event].hold(&domain);
        if (r >= 0 && EVENTS[event].end)
                EVENTS[event].end(&domain);
        domain_done(&domain);
        return EVENTS[event].begin ? r : 0;
}

int main(int argc, char **argv) {
        if (argc < 4) {
                fputs("This is run by libvirt: DOMAIN OPERATION STAGE EXTRA\n", stderr);
                return 2;
        }

        for (size_t i = 0; i < sizeof(EVENTS) / sizeof(EVENTS[0]); i++)
                if (strcmp(argv[2], EVENTS[i].operation) == 0 && strcmp(argv[3], EVENTS[i].stage) == 0)
                        return handle(i) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;

        return EXIT_SUCCESS;
}
