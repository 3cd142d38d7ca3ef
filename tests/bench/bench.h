/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Bench: the programs that tests/bench/run measures with. Each is a verb of one program, which prints "name value" lines.
 */

#include <systemd/sd-bus.h>

#include "daemon/util/cleanup.h"

#define FLOOR_NAME "org.mdevgpu1.Floor"
#define DAEMON_NAME "org.mdevgpu1"
#define ROOT_PATH "/org/mdevgpu1"
#define MANAGER "org.mdevgpu1.Manager"

/* Leaves with a message: a measurement that fails is none. */
_printf_(1, 2) void bench_die(const char *format, ...) __attribute__((noreturn));

/* Of a call that returns a negative errno. */
int bench_try(int r, const char *what);

sd_bus *bench_open(const char *address);

/* Microseconds. */
double bench_now(void);
double bench_cpu(pid_t pid);

#define BENCH_ROUNDS_MAX 10000

/* The least, which nothing else has disturbed, and the median; values are sorted. */
void bench_say(const char *what, double *values, size_t n);
size_t bench_read_rounds(const char *s);

int bench_floor(int argc, char **argv);
int bench_compare(int argc, char **argv);
int bench_create(int argc, char **argv);
int bench_driver(int argc, char **argv);
int bench_await(int argc, char **argv);
int bench_durable(int argc, char **argv);
int bench_run(int argc, char **argv);
int bench_burst(int argc, char **argv);
int bench_state(int argc, char **argv);
int bench_ping(int argc, char **argv);
