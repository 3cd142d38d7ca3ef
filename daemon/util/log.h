/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Log: messages to the journal with structured fields where standard error leads there, else plain lines on it.
 *
 * A function either logs or returns an error, not both. util/, core/ and backend/ log at debug only; the edges (main,
 * monitor, bus, supervisor) log once at a level that says how bad it is.
 */

#include <syslog.h>

#include "util/cleanup.h"

/* Takes a message to the journal, with its fields; negative if it could not. */
typedef int (*LogSink)(int level, const char *const *fields, const char *message);

/* The one there is, of libsystemd: which is most of what a program that links it loads when it starts. */
int log_to_journal(int level, const char *const *fields, const char *message);

/* The name that plain lines begin with, and the highest level that is written (LOG_INFO by default). Without a sink the
 * journal gets plain lines, too, which have their level but no fields. */
void log_setup(const char *identifier, int max_level, LogSink journal);

/*
 * fields: alternating names and values ("MDEVGPU_GPU", "0000:41:00.0", …), at most eight pairs, ended by NULL; or NULL for none.
 * A pair whose value is NULL is left out.
 */
void log_full(int level, const char *const *fields, const char *format, ...) _printf_(3, 4);

#define LOG_FIELDS(...) ((const char *const[]){ __VA_ARGS__, NULL })

#define log_debug(...) log_full(LOG_DEBUG, NULL, __VA_ARGS__)
#define log_info(...) log_full(LOG_INFO, NULL, __VA_ARGS__)
#define log_notice(...) log_full(LOG_NOTICE, NULL, __VA_ARGS__)
#define log_warning(...) log_full(LOG_WARNING, NULL, __VA_ARGS__)
#define log_error(...) log_full(LOG_ERR, NULL, __VA_ARGS__)
