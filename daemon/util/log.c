/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdarg.h>
#include <sys/stat.h>

#include "util/log.h"

static const char *log_identifier = "mdevgpud";
static int log_max_level = LOG_INFO;
static bool log_in_journal;
static LogSink log_journal;

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

void log_setup(const char *identifier, int max_level, LogSink journal) {
        log_identifier = identifier;
        log_max_level = max_level;
        log_in_journal = stderr_is_journal();
        log_journal = journal;
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

        if (!log_in_journal)
                (void)fprintf(stderr, "%s: %s\n", log_identifier, message);
        else if (!log_journal || log_journal(level, fields, message) < 0)
                /* Its level is what the line begins with (sd-daemon(3)). */
                (void)fprintf(stderr, "<%i>%s: %s\n", level, log_identifier, message);

        errno = saved;
}
