/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdarg.h>
#include <time.h>

#include "bench.h"

void bench_die(const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        vfprintf(stderr, format, arguments);
        va_end(arguments);
        fputc('\n', stderr);
        exit(EXIT_FAILURE);
}

int bench_try(int r, const char *what) {
        if (r < 0)
                bench_die("%s: %s", what, strerror(-r));

        return r;
}

sd_bus *bench_open(const char *address) {
        sd_bus *bus;

        bench_try(sd_bus_new(&bus), "sd_bus_new");
        bench_try(sd_bus_set_address(bus, address), "the bus' address");
        bench_try(sd_bus_set_bus_client(bus, true), "sd_bus_set_bus_client");
        bench_try(sd_bus_start(bus), "the bus");
        return bus;
}

static double read_clock(clockid_t clock) {
        struct timespec ts;

        if (clock_gettime(clock, &ts) < 0)
                bench_die("clock_gettime: %s", strerror(errno));

        return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

double bench_now(void) {
        return read_clock(CLOCK_MONOTONIC);
}

double bench_cpu(pid_t pid) {
        clockid_t clock;
        int r;

        r = clock_getcpuclockid(pid, &clock);
        if (r != 0)
                bench_die("Process %i: %s", (int)pid, strerror(r));

        return read_clock(clock);
}

int main(int argc, char **argv) {
        static const struct {
                const char *name;
                const char *arguments;
                int (*run)(int argc, char **argv);
                int n_min;
        } verbs[] = {
                { "floor", "ADDRESS", bench_floor, 1 },
                { "compare", "ADDRESS echo|list|objects ROUNDS CALLS BUS-PID FLOOR-PID DAEMON-PID", bench_compare, 7 },
                { "await", "ADDRESS VGPUS", bench_await, 2 },
                { "create", "ADDRESS GPU TYPE ROUNDS transient|durable PAUSE-USEC", bench_create, 6 },
                { "driver", "TYPE-FOLDER DEVICES-FOLDER ROUNDS PAUSE-USEC", bench_driver, 4 },
                { "durable", "FOLDER ROUNDS", bench_durable, 2 },
                { "run", "ROUNDS COMMAND… [-- COMMAND…], UUID in it being a new one each time", bench_run, 2 },
                { "state", "memory|UUID MIB FOLDER ROUNDS", bench_state, 4 },
                { "ping", "ADDRESS SECONDS", bench_ping, 2 },
                { "burst", "EVENTS DEVICE…", bench_burst, 2 },
        };

        for (size_t i = 0; argc > 1 && i < ELEMENTSOF(verbs); i++)
                if (streq(argv[1], verbs[i].name) && argc - 2 >= verbs[i].n_min)
                        return verbs[i].run(argc - 2, argv + 2);

        for (size_t i = 0; i < ELEMENTSOF(verbs); i++)
                fprintf(stderr, "bench %s %s\n", verbs[i].name, verbs[i].arguments);
        return 2;
}
