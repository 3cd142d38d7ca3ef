/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Options: the command line as mdevctl 1.4 reads it. Options are never abbreviated, are given once each, and a value
 * that stands by itself does not begin with a dash.
 */

#include "device.h"

typedef enum Verb {
        VERB_DEFINE = 1 << 0,
        VERB_UNDEFINE = 1 << 1,
        VERB_MODIFY = 1 << 2,
        VERB_START = 1 << 3,
        VERB_STOP = 1 << 4,
        VERB_LIST = 1 << 5,
        VERB_TYPES = 1 << 6,
        VERB_START_PARENT = 1 << 7,
} Verb;

typedef struct Options {
        Verb verb;
        const char *uuid; /* NULL, or uuid_text in its usual form */
        char uuid_text[UUID_SIZE];
        const char *parent, *type, *jsonfile, *addattr, *value, *index;
        long index_number; /* -1: none */
        const char *twice, *lacking; /* options that were given twice, and without their values */
        bool autostart, manual, delattr, live, defined, dumpjson, verbose, force;
} Options;

/* 1: go on. 0: help was asked for and given. -EINVAL: usage, which has been said. */
int options_parse(Options *o, int argc, char **argv);
