/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * VFIO on the simulated machine: what its parts share. sim-vfio.c has the nodes, as far as groups and containers go,
 * sim-migration.c the states of a device, and sim-session.c the streams.
 */

#include "sim/sim-internal.h"

/* enum vfio_device_mig_state of Linux 6.12's UAPI (linux/vfio.h), of which older headers lack the last two. */
typedef enum SimState {
        SIM_STATE_ERROR = 0,
        SIM_STATE_STOP = 1,
        SIM_STATE_RUNNING = 2,
        SIM_STATE_STOP_COPY = 3,
        SIM_STATE_RESUMING = 4,
        SIM_STATE_RUNNING_P2P = 5,
        SIM_STATE_PRE_COPY = 6,
        SIM_STATE_PRE_COPY_P2P = 7,
        SIM_STATE_MAX,
} SimState;

/*
 * What the driver knows of a device: the file ROOT/kernel/devices/NAME, which a device's descriptor has open. That of a device
 * which does not migrate is empty.
 */
typedef struct SimDevice {
        char name[SIM_NAME_SIZE];
        char type[SIM_NAME_SIZE]; /* it takes the state of no other */
        bool migrates;
        bool keeps_content; /* when it is closed, if what it holds is whole */
        bool keeps_state; /* as well, as mtty of Linux 6.12 does: others run when they are opened */
        bool has_session;
        uint32_t state; /* SimState */
        uint64_t session; /* number of the one before, or of that which is under way */
} SimDevice;

int sim_device_load(const SimHost *sim, const char *name, SimDevice *ret_device);
int sim_device_store(const SimHost *sim, const SimDevice *device);
/* A descriptor of the device that has this name, whoever else has it open. */
int sim_device_open(const SimHost *sim, const char *name);
int sim_device_ioctl(const SimHost *sim, int fd, const char *name, unsigned long request, void *argument);
bool sim_state_saves(uint32_t state);
bool sim_state_precopies(uint32_t state);

/* What it holds, made as new if it is not there: ROOT/content/NAME; a descriptor. */
int sim_content_open(const SimHost *sim, const char *name);
/* All zeros again. */
int sim_content_reset(const SimHost *sim, const char *name);
/* The bytes of "content-size" or "state-rate", as sim_host_set…() has set them. */
uint64_t sim_setting(const SimHost *sim, const char *name);

/* The descriptor of a session that begins. */
int sim_session_begin(const SimHost *sim, SimDevice *device, bool resuming);
/* What was written becomes what the device holds, if it is whole. */
int sim_session_commit(const SimHost *sim, const SimDevice *device);
/* Ends it, if there is one: its descriptor gives errors from here on. */
void sim_session_end(const SimHost *sim, SimDevice *device);
/* Bytes that STOP_COPY would give now. */
int sim_session_size(const SimHost *sim, const SimDevice *device, uint64_t *ret_size);
int sim_session_ioctl(const SimHost *sim, int fd, unsigned long request, void *argument);
