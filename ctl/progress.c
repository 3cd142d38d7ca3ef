/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Progress: how far a job is, in a line that is written over and over.
 */

#include <stdio.h>
#include <sys/ioctl.h>
#include <time.h>

#include "progress.h"
#include "reply.h"
#include "text.h"

#define BAR_COLUMNS 20U

static bool get_number(json_object *object, const char *key, uint64_t *ret) {
        json_object *value;

        if (!json_object_object_get_ex(object, key, &value) || !json_object_is_type(value, json_type_int))
                return false;

        *ret = json_object_get_uint64(value);
        return true;
}

static void print_size(FILE *f, const char *before, uint64_t bytes, const char *behind) {
        _cleanup_(freep) char *size = text_size(bytes);

        fprintf(f, "%s%s%s", before, size ? size : "?", behind);
}

static void print_bar(FILE *f, json_object *job) {
        json_object *progress;
        double share;

        if (!object_is_true(job, "progress_valid") || !json_object_object_get_ex(job, "progress", &progress))
                return;

        share = json_object_get_double(progress);
        share = share > 0 ? share < 1 ? share : 1 : 0;
        fputc('[', f);
        for (unsigned i = 0; i < BAR_COLUMNS; i++)
                fputc(i < (unsigned)(share * BAR_COLUMNS) ? '#' : '.', f);
        fprintf(f, "] %3.0f %%", 100 * share);
}

/* By the rate, as another machine's clock may be another; else as the daemon expects. */
static bool get_seconds_left(const Ctl *ctl, json_object *job, uint64_t *ret) {
        uint64_t bytes, total, rate, end, now;
        struct timespec ts;

        if (get_number(job, "bytes", &bytes) && get_number(job, "total_bytes", &total) &&
            get_number(job, "rate", &rate) && rate > 0 && total >= bytes) {
                *ret = (total - bytes + rate - 1) / rate;
                return true;
        }
        if (ctl->host || !get_number(job, "expected_end_time", &end))
                return false;

        (void)clock_gettime(CLOCK_REALTIME, &ts);
        now = (uint64_t)ts.tv_sec * 1000000U + (uint64_t)ts.tv_nsec / 1000U;
        *ret = end > now ? (end - now + 999999U) / 1000000U : 0;
        return true;
}

static void print_left(FILE *f, uint64_t seconds) {
        if (seconds < 120)
                fprintf(f, "  %llu s left", (unsigned long long)seconds);
        else if (seconds < 120ULL * 60)
                fprintf(f, "  %llu min left", (unsigned long long)(seconds + 59) / 60);
        else
                fprintf(f, "  %llu h left", (unsigned long long)(seconds + 3599) / 3600);
}

static void print_amounts(FILE *f, const Ctl *ctl, json_object *job) {
        uint64_t bytes, total, rate, seconds;

        if (get_number(job, "bytes", &bytes)) {
                print_size(f, "  ", bytes, "");
                if (get_number(job, "total_bytes", &total))
                        print_size(f, " of ", total, "");
        }
        if (get_number(job, "rate", &rate))
                print_size(f, "  ", rate, "/s");
        if (get_seconds_left(ctl, job, &seconds))
                print_left(f, seconds);
}

static void print_phase(FILE *f, json_object *job) {
        json_object *result = NULL;
        const char *phase;
        uint64_t dirty;

        (void)json_object_object_get_ex(job, "result", &result);
        phase = json_object_is_type(result, json_type_object) ? object_string(result, "phase") : NULL;
        if (isempty(phase))
                return;

        fprintf(f, "  %s", phase);
        if (get_number(result, "dirty", &dirty))
                print_size(f, ", ", dirty, " changed since");
}

static char *line_format(const Ctl *ctl, json_object *job, bool cancelled, size_t max_chars) {
        _cleanup_(freep) char *line = NULL;
        size_t size = 0;
        FILE *f;

        f = open_memstream(&line, &size);
        if (!f)
                return NULL;

        if (cancelled)
                fputs("Cancelling  ", f);
        print_bar(f, job);
        print_amounts(f, ctl, job);
        print_phase(f, job);
        if (fclose(f) != 0)
                return NULL;

        return text_escape(line + strspn(line, " "), max_chars, 0);
}

static size_t text_columns(const char *s) {
        size_t n = 0;

        for (; *s; s++)
                n += ((unsigned char)*s & 0xc0) != 0x80;

        return n;
}

void progress_show(const Ctl *ctl, json_object *job, bool cancelled, Progress *progress) {
        struct winsize size = {};
        _cleanup_(freep) char *line = NULL;
        size_t columns, used;

        if (ctl->quiet || !isatty(STDERR_FILENO))
                return;

        /* The last column is left free, or terminals go on in the next line; one more is the mark of what is cut. */
        columns = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) >= 0 && size.ws_col > 0 ? size.ws_col : 80;
        line = line_format(ctl, job, cancelled, columns > 3 ? columns - 2 : 1);
        if (!line)
                return;

        used = text_columns(line);
        fprintf(stderr, "\r%s%*s", line, progress->columns > used ? (int)(progress->columns - used) : 0, "");
        progress->columns = used;
}

void progress_clear(Progress *progress) {
        if (progress->columns > 0)
                fprintf(stderr, "\r%*s\r", (int)progress->columns, "");

        progress->columns = 0;
}
