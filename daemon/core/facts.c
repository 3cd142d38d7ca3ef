/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "core/facts.h"
#include "util/text.h"

static bool is_key(const char *key) {
        return key[0] >= 'a' && key[0] <= 'z' && strlen(key) < FACT_KEY_SIZE &&
               key[strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789-")] == '\0';
}

static Fact *find(const Facts *facts, const char *key) {
        for (size_t i = 0; i < facts->n; i++)
                if (streq(facts->items[i].key, key))
                        return &facts->items[i];

        return NULL;
}

const Fact *facts_find(const Facts *facts, const char *key) {
        return find(facts, key);
}

int facts_add(Facts *facts, const char *key, FactKind kind, uint64_t number, const char *text) {
        Fact *fact, *items;

        if (!is_key(key))
                return -EINVAL;

        fact = find(facts, key);
        if (!fact) {
                if (facts->n >= FACTS_MAX)
                        return -E2BIG;
                items = reallocarray(facts->items, facts->n + 1, sizeof(Fact));
                if (!items)
                        return -ENOMEM;
                facts->items = items;
                fact = &items[facts->n++];
        }

        *fact = (Fact){ .kind = kind, .number = number };
        (void)text_copy(fact->key, sizeof(fact->key), key);
        (void)text_copy(fact->text, sizeof(fact->text), text);
        return 0;
}

int facts_add_bool(Facts *facts, const char *key, bool v) {
        return facts_add(facts, key, FACT_BOOL, v, "");
}

int facts_add_u32(Facts *facts, const char *key, uint32_t v) {
        return facts_add(facts, key, FACT_U32, v, "");
}

int facts_add_u64(Facts *facts, const char *key, uint64_t v) {
        return facts_add(facts, key, FACT_U64, v, "");
}

int facts_add_text(Facts *facts, const char *key, const char *text) {
        char safe[FACT_TEXT_SIZE];

        (void)text_copy(safe, sizeof(safe), text);
        text_sanitize(safe);
        return safe[0] != '\0' ? facts_add(facts, key, FACT_TEXT, 0, safe) : 0;
}

void facts_done(Facts *facts) {
        free(facts->items);
        *facts = (Facts){};
}
