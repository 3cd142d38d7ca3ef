/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Text: strings made fit to be read by a person, whoever wrote them.
 */

#include "util.h"

/* Newlines stay as they are; without it they are escaped like every other control character. */
#define TEXT_KEEP_NEWLINES (1U << 0)

/*
 * A copy of s in which every character that could move the cursor, hide text or reorder it is written as \uXXXX, the
 * escape that JSON uses too. max_chars > 0 cuts longer text and ends it with an ellipsis. NULL if out of memory.
 */
char *text_escape(const char *s, size_t max_chars, unsigned flags);

/* "18.7 GiB", "16 GiB", "512 B" */
char *text_size(uint64_t bytes);

/* "DriverVersion" -> "driver_version": the names of the bus as keys of JSON */
char *text_key(const char *name);

/* "driver_version" -> "Driver version": keys as labels for a person */
char *text_label(const char *key);

bool text_is_uuid(const char *s);

/* "41:00.0": a PCI address that says no domain; the other takes one with a domain as well */
bool text_is_short_address(const char *s);
bool text_is_address(const char *s);

/* How many characters have to be changed, added or left out to make one of the other; SIZE_MAX if they are long. */
size_t text_distance(const char *a, const char *b);

/* "2026-11-25 22:23:09" in local time, of microseconds since 1970 */
char *text_time(uint64_t usec);

/* "83 ms", "1.2 s", of microseconds */
char *text_duration(uint64_t usec);
