/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * NVIDIA info: a profile's type as the driver wants it, and whether the driver holds it as stated.
 */

#include "backend/nvidia-query.h"

/* The card that a type is for: what a type that states no ids of its own has. */
typedef struct NvidiaCard {
        uint16_t device;
        uint16_t subsystem_device;
} NvidiaCard;

/*
 * Fills SET_INFO's parameters, which are zero, with the type; nothing is discarded by them. True, or false with why not in
 * *ret_reason: the dialect cannot express it.
 */
bool nvidia_info_encode(const NvidiaDialect *dialect, const TypeSpec *spec, const NvidiaCard *card, uint32_t state,
                        uint8_t *parameters, char ret_reason[static REASON_SIZE]);

/*
 * True if the driver holds it as stated. Else the first key of the profile that differs is named in *ret_reason. The
 * signature and the licence are not compared: the driver does not tell the one and derives others from the other.
 */
bool nvidia_info_matches(const NvidiaType *type, const TypeSpec *spec, const NvidiaCard *card,
                         char ret_reason[static REASON_SIZE]);
