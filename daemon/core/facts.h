/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Facts: what a driver says of something, each word under a key of its own, for what one driver knows and another does
 * not. A fact that is not known is not there.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FACT_KEY_SIZE 40U
#define FACT_TEXT_SIZE 260U /* NVIDIA's metadata of a card have 256 bytes */
#define FACTS_MAX 64U

typedef enum FactKind {
        FACT_BOOL,
        FACT_U32,
        FACT_U64,
        FACT_TEXT,
        FACT_KIND_MAX,
} FactKind;

typedef struct Fact {
        char key[FACT_KEY_SIZE]; /* lower case letters, digits and dashes */
        FactKind kind;
        uint64_t number;
        char text[FACT_TEXT_SIZE];
} Fact;

typedef struct Facts {
        Fact *items;
        size_t n;
} Facts;

/* 0, -ENOMEM, -E2BIG: more than FACTS_MAX, -EINVAL: no key. A key that is there already is given the new value. */
int facts_add(Facts *facts, const char *key, FactKind kind, uint64_t number, const char *text);
int facts_add_bool(Facts *facts, const char *key, bool v);
int facts_add_u32(Facts *facts, const char *key, uint32_t v);
int facts_add_u64(Facts *facts, const char *key, uint64_t v);
/* Made printable; an empty one says nothing and is not added. */
int facts_add_text(Facts *facts, const char *key, const char *text);

const Fact *facts_find(const Facts *facts, const char *key);
void facts_done(Facts *facts);
