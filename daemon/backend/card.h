/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Card: what goes together when a PCI display controller is handed over whole, and what speaks against it.
 */

#include "backend/pci.h"

typedef struct Card {
        size_t n_functions;
        PciAddress
                functions[PCI_FUNCTIONS_MAX]; /* the GPU first; those of the same card go with it, as its audio does */
        int code; /* of util/error.h, negative; 0: nothing speaks against it */
        char reason[REASON_SIZE]; /* what does; empty: nothing */
        bool display; /* and that is only that it shows something */
} Card;

/* Read attributes only. A virtual function goes alone. */
void card_judge_function(const Host *host, const char *address, Card *ret_card);
void card_judge(const Host *host, const char *gpu, Card *ret_card);

/* "IOMMU group 12; reset: flr, bus; with 0000:41:00.1" */
void card_describe(const Host *host, const Card *card, char *buffer, size_t size);

/* Nobody may hold what its driver offers, as unbinding that waits or takes it from under him. */
int card_check_users(const Host *host, const char *gpu, Error *error);
