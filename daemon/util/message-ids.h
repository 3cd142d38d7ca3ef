/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Message ids: which kind of event a line of the journal tells of, for `journalctl MESSAGE_ID=…`. Each is random, means the
 * same for ever, and is explained in catalog/mdevgpud.catalog.
 */

/* a GPU has come */
#define MESSAGE_GPU_ADDED "c512f32129c9493fb5c48e35da523aa4"
/* a GPU has gone */
#define MESSAGE_GPU_REMOVED "91ff597c2b8d44e69f1b3ea51bf41478"
/* a GPU cannot be read, or its driver is stuck */
#define MESSAGE_GPU_FAILED "5334116bede0485db33ff1a01d181605"
/* a vGPU was made, because somebody asked for it or by itself */
#define MESSAGE_VGPU_CREATED "8abd18f742f04bd79fcd9a388c1edb72"
/* a vGPU was removed, because somebody asked for it */
#define MESSAGE_VGPU_DESTROYED "4c8b75db823b4a739eb1139dff6b1f5b"
/* a vGPU of ours has gone, and nobody asked us for it */
#define MESSAGE_VGPU_LOST "14b99a12cdfa402b95b1e8dbdb4ce6c0"
/* something that was asked for a vGPU, or its start by itself, has failed */
#define MESSAGE_VGPU_FAILED "f77c732a96af4db5a0e369e02c702e1d"
/* a driver has refused a type of a profile */
#define MESSAGE_TYPE_REFUSED "9100041c30434f73a8d862256fee18e9"
/* the configuration has errors, and is not in force */
#define MESSAGE_CONFIG_REFUSED "dd491cae9455424f9ca32f09e95e60a5"
/* a worker overran its deadline */
#define MESSAGE_WORKER_STUCK "cb08c50de4424bc2b5a2e2d55e70a0c4"
/* a worker ended, or made no sense */
#define MESSAGE_WORKER_LOST "62051a50594b439286b7aad684bd8047"
/* a job has done what it was for */
#define MESSAGE_JOB_DONE "599fcc283c5a40ae9254b5fdfb20976c"
/* a job has failed or was cancelled, and what it did is taken back */
#define MESSAGE_JOB_FAILED "fa460ab8dd274dc190e0a2177c93ee80"
/* something needs attention: a GPU has failed or is stuck, or the configuration has an error */
#define MESSAGE_DEGRADED "1e54d35361394f6189e542afc9b33e94"
/* nothing does any more */
#define MESSAGE_RECOVERED "28d574723a5f4ddeb93e4ee3aea80247"
/* a driver reports an error of its device */
#define MESSAGE_DEVICE_ERROR "752028d7a93243ea8635a869a60ac394"
/* the daemon has looked at what there is */
#define MESSAGE_READY "8babec752d42460381daaa77e72e93f9"
