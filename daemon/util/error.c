/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>

#include "util/error.h"
#include "util/text.h"

int error_setv(Error *error, int code, const char *format, va_list ap) {
        assert(code < 0);

        if (!error)
                return code;

        error->code = code;
        (void)vsnprintf(error->message, sizeof(error->message), format, ap);
        /* It goes to terminals and over D-Bus, and may have been cut within a character. */
        text_sanitize(error->message);
        return code;
}

int error_set(Error *error, int code, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        code = error_setv(error, code, format, ap);
        va_end(ap);

        return code;
}

int error_set_errno(Error *error, int code, const char *what) {
        if (error && error->code < 0)
                return code;

        return error_set(error, code, "%s: %s", what, strerrordesc_np(-code) ?: "unknown error");
}
