/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * List: an intrusive, doubly linked, circular list. The head is a List whose links point to itself when empty.
 * An element that is in no list has links that point to itself, so that unlinking twice is harmless.
 */

#include <stdbool.h>
#include <stddef.h>

typedef struct List List;

struct List {
        List *next;
        List *prev;
};

#define LIST_ENTRY(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))

/* The body may unlink the element that it is given, no other. */
#define LIST_FOREACH(i, head, member)                                                                                  \
        for (List *i##_node = (head)->next, *i##_next = i##_node->next;                                                \
             i##_node != (head) && (i = LIST_ENTRY(i##_node, __typeof__(*i), member), true);                           \
             i##_node = i##_next, i##_next = i##_node->next)

#define LIST_FIRST(head, type, member) (list_is_empty(head) ? NULL : LIST_ENTRY((head)->next, type, member))

static inline void list_init(List *l) {
        l->next = l->prev = l;
}

static inline bool list_is_empty(const List *l) {
        return l->next == l;
}

static inline void list_append(List *head, List *l) {
        l->prev = head->prev;
        l->next = head;
        head->prev->next = l;
        head->prev = l;
}

static inline void list_unlink(List *l) {
        l->prev->next = l->next;
        l->next->prev = l->prev;
        list_init(l);
}
