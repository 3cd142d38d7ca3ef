/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdarg.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>

#include "util/log.h"

#define FIELDS_MAX 8U

static const char *log_identifier = "mdevgpud";
static int log_max_level = LOG_INFO;
static bool log_to_journal;

/* True if standard error is the stream that systemd connected to the journal (systemd.exec(5), $JOURNAL_STREAM). */
static bool stderr_is_journal(void) {
        unsigned long long dev, ino;
        const char *e = getenv("JOURNAL_STREAM");
        struct stat st;

        if (!e || sscanf(e, "%llu:%llu", &dev, &ino) != 2)
                return false;
        if (fstat(STDERR_FILENO, &st) < 0)
                return false;

        return st.st_dev == dev && st.st_ino == ino;
}

void log_setup(const char *identifier, int max_level) {
        log_identifier = identifier;
        log_max_level = max_level;
        log_to_journal = stderr_is_journal();
}

static int journal_send(int level, const char *const *fields, const char *message) {
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

void log_full(int level, const char *const *fields, const char *format, ...) {
        int saved = errno;
        char message[2048];
        va_list ap;

        if (level > log_max_level)
                return;

        va_start(ap, format);
        (void)vsnprintf(message, sizeof(message), format, ap);
        va_end(ap);

        if (!log_to_journal || journal_send(level, fields, message) < 0)
                (void)fprintf(stderr, "%s: %s\n", log_identifier, message);

        errno = saved;
}
