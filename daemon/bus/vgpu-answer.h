/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Answering calls about a vGPU, on whichever object they are made. */

#include "bus/bus-call.h"

/* The operation of a call has ended (OperationCallback; userdata: the BusCall, which has a verb). */
void vgpu_answer(const Error *error, VGpu *vgpu, void *userdata);

/* By their real names, so that a rule need not know what else a type can be called. */
void vgpu_details(const VGpu *vgpu, PolkitDetails *ret_details);

/* A vGPU that callers can see. */
int vgpu_details_of(const BusServer *server, const char *uuid, PolkitDetails *ret_details, Error *error);
