/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Script: one program of others', run to its end. It may hang, print without end or leave children behind: nobody is held up
 * by that for longer than its time.
 */

#include "util.h"

/* What a script came to: its exit status, or negative: it did not run, was killed (-EINTR), or was ended (-ETIMEDOUT). */
typedef struct Outcome {
        int status;
        char *output;
        size_t size;
        bool too_much; /* it printed more than is kept: there is no output */
} Outcome;

void outcome_done(Outcome *o);

/*
 * Its input is all of input, or nothing if that is NULL; its words on stderr are passed on, unless its status is 2. What took
 * too long once is not run again: that is its outcome for good. Negative: there is no outcome.
 */
int script_run(char *const argv[], const char *input, Outcome *ret_outcome);
