/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The text format of OpenMetrics 1.0 (github.com/OpenObservability/OpenMetrics, specification of 2020).
 */

#include <inttypes.h>
#include <stdio.h>

#include "metrics.h"

void metrics_begin(const Family *family) {
        printf("# TYPE %s %s\n", family->name, family->type);
        if (family->unit)
                printf("# UNIT %s %s\n", family->name, family->unit);
        printf("# HELP %s %s\n", family->name, family->help);
}

/* Control characters are no part of any name; what a driver made of them does not reach a terminal by this. */
static void print_value(const char *value) {
        for (; value && *value; value++) {
                unsigned char c = (unsigned char)*value;

                if (c == '\\' || c == '"')
                        printf("\\%c", c);
                else if (c == '\n')
                        printf("\\n");
                else
                        putchar(c < 0x20 || c == 0x7f ? '?' : c);
        }
}

static void print_head(const Family *family, const char *suffix, const char *const *labels) {
        printf("%s%s", family->name, suffix);
        for (size_t i = 0; labels && labels[i]; i += 2) {
                printf("%s%s=\"", i == 0 ? "{" : ",", labels[i]);
                print_value(labels[i + 1]);
                putchar('"');
        }
        if (labels && labels[0])
                putchar('}');
}

void metrics_sample(const Family *family, const char *suffix, const char *const *labels, double value) {
        print_head(family, suffix, labels);
        printf(" %.6f\n", value);
}

void metrics_sample_u64(const Family *family, const char *suffix, const char *const *labels, uint64_t value) {
        print_head(family, suffix, labels);
        printf(" %" PRIu64 "\n", value);
}

void metrics_states(const Family *family, const char *label, const char *value, const char *const *states,
                    const char *state) {
        for (; *states; states++)
                metrics_sample_u64(family, "", LABELS(label, value, family->name, *states), streq(*states, state));
}

void metrics_end(void) {
        puts("# EOF");
}
