/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>

#include "core/owner.h"

void owner_format(const Owner *owner, char ret_text[static OWNER_TEXT_SIZE]) {
        size_t n;

        ret_text[0] = '\0';
        if (!owner->known)
                return;

        n = (size_t)snprintf(ret_text, OWNER_TEXT_SIZE, "%" PRIu32, (uint32_t)owner->uid);
        for (size_t i = 0; i < owner->n_groups; i++)
                n += (size_t)snprintf(ret_text + n, OWNER_TEXT_SIZE - n, "%c%" PRIu32, i == 0 ? ':' : ',',
                                      (uint32_t)owner->groups[i]);
}

/* A number as it is written above, and not the one that means nobody; *text is what follows. */
static int parse_id(const char **text, uint32_t *ret) {
        unsigned long long value;
        char *end;

        if (**text < '0' || **text > '9')
                return -EINVAL;
        errno = 0;
        value = strtoull(*text, &end, 10);
        if (errno != 0 || value >= UINT32_MAX)
                return -EINVAL;

        *text = end;
        *ret = (uint32_t)value;
        return 0;
}

int owner_parse(const char *text, Owner *ret_owner) {
        Owner owner = { .known = text[0] != '\0' };
        char separator = ':';
        uint32_t id;

        if (owner.known) {
                if (parse_id(&text, &id) < 0)
                        return -EINVAL;
                owner.uid = id;
        }

        for (; *text == separator && owner.n_groups < OWNER_GROUPS_MAX; separator = ',') {
                text++;
                if (parse_id(&text, &id) < 0)
                        return -EINVAL;
                owner.groups[owner.n_groups++] = id;
        }
        if (*text != '\0')
                return -EINVAL;

        *ret_owner = owner;
        return 0;
}

bool owner_equal(const Owner *a, const Owner *b) {
        return a->known == b->known && a->uid == b->uid && a->n_groups == b->n_groups &&
               memcmp(a->groups, b->groups, a->n_groups * sizeof(gid_t)) == 0;
}
