/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <ctype.h>
#include <string.h>

#include "core/backend.h"
#include "util/string-table.h"

static const char *const transfer_phase_table[TRANSFER_PHASE_MAX] = {
        [TRANSFER_PRE_COPY] = "pre-copy",
        [TRANSFER_STOP_COPY] = "stop-copy",
        [TRANSFER_RESUMING] = "resuming",
};

DEFINE_STRING_TABLE(transfer_phase, TransferPhase)

bool saved_state_name_is_good(const char *name) {
        size_t n = strlen(name);

        if (n == 0 || n >= SAVED_STATE_NAME_SIZE || name[0] == '.')
                return false;

        for (size_t i = 0; i < n; i++)
                if (!isascii(name[i]) || (!isalnum((unsigned char)name[i]) && !strchr("._-", name[i])))
                        return false;

        return true;
}
