/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * UsersQuery: who holds a vGPU open, as far as /proc tells, and what the driver adds to that; asked of a worker of its
 * own, as reading /proc of a busy host takes a while.
 */

#include "core/manager.h"

/* error is NULL on success; told is what the driver says of this vGPU, or NULL. Called once, from the loop; the query is
 * gone then. */
typedef void (*UsersCallback)(const Error *error, const User *users, size_t n_users, const VGpuUsage *told,
                              void *userdata);

int users_query_new(Manager *manager, const VGpu *vgpu, UsersCallback callback, void *userdata, UsersQuery **ret_query,
                    Error *error);
/* Nobody is called back. */
UsersQuery *users_query_free(UsersQuery *query);
