/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <sys/uio.h>
#include <systemd/sd-journal.h>

#include "util/log.h"

#define FIELDS_MAX 8U

int log_to_journal(int level, const char *const *fields, const char *message) {
        char priority[16], text[2048 + sizeof("MESSAGE=")], buffers[FIELDS_MAX][320];
        struct iovec iov[2 + FIELDS_MAX];
        int n = 0;

        (void)snprintf(priority, sizeof(priority), "PRIORITY=%i", level);
        (void)snprintf(text, sizeof(text), "MESSAGE=%s", message);
        iov[n++] = (struct iovec){ .iov_base = priority, .iov_len = strlen(priority) };
        iov[n++] = (struct iovec){ .iov_base = text, .iov_len = strlen(text) };

        for (size_t i = 0; fields && i < FIELDS_MAX && fields[2 * i]; i++) {
                if (!fields[2 * i + 1])
                        continue;
                (void)snprintf(buffers[i], sizeof(buffers[i]), "%s=%s", fields[2 * i], fields[2 * i + 1]);
                iov[n++] = (struct iovec){ .iov_base = buffers[i], .iov_len = strlen(buffers[i]) };
        }

        return sd_journal_sendv(iov, n);
}
