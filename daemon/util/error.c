/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdarg.h>
#include <string.h>

#include "util/error.h"
#include "util/text.h"

void error_fill(Error *error, int code, const char *format, ...) {
        va_list ap;

        if (!error)
                return;

        error->code = code;
        va_start(ap, format);
        (void)vsnprintf(error->message, sizeof(error->message), format, ap);
        va_end(ap);
        /* It goes to terminals and over D-Bus, and may have been cut within a character. */
        text_sanitize(error->message);
}

int error_set_errno(Error *error, int code, const char *what) {
        if (error && error->code < 0)
                return code;

        return error_set(error, code, "%s: %s", what, strerrordesc_np(-code) ?: "unknown error");
}
