/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Which metrics there are. A value that is not known has no sample. */

#include <stdio.h>

#include "metrics.h"
#include "reply.h"
#include "verbs.h"

#define USEC_PER_SEC 1e6
#define NSEC_PER_SEC 1e9

static json_object *member(json_object *object, const char *key) {
        json_object *value = NULL;

        (void)json_object_object_get_ex(object, key, &value);
        return value;
}

static bool member_u64(json_object *object, const char *key, uint64_t *ret) {
        json_object *value = member(object, key);

        if (!json_object_is_type(value, json_type_int))
                return false;

        *ret = json_object_get_uint64(value);
        return true;
}

static const char *text(json_object *object, const char *key) {
        const char *s = object_string(object, key);

        return s ? s : "";
}

/* A GPU's name in sysfs by its object's path; what has gone meanwhile has none. */
static const char *address_of(json_object *gpus, const char *path) {
        for (size_t i = 0; i < json_object_array_length(gpus); i++) {
                json_object *gpu = json_object_array_get_idx(gpus, i);

                if (streq(text(gpu, "path"), path))
                        return text(gpu, "address");
        }

        return "";
}

void metrics_print_daemon(json_object *daemon) {
        static const Family build = { "mdevgpu_build", "info", NULL, "The daemon's version." };
        static const Family degraded = { "mdevgpu_degraded", "gauge", NULL,
                                         "1 if a GPU has failed or is stuck, or the configuration has an error." };
        static const Family errors = { "mdevgpu_config_problems", "gauge", NULL,
                                       "Problems in the configuration as it was last read, warnings included." };
        json_object *problems = member(daemon, "config_errors");

        metrics_begin(&build);
        metrics_sample_u64(&build, "_info", LABELS("version", text(daemon, "version")), 1);
        metrics_begin(&degraded);
        metrics_sample_u64(&degraded, "", NULL, object_is_true(daemon, "degraded"));
        if (!json_object_is_type(problems, json_type_array))
                return;
        metrics_begin(&errors);
        metrics_sample_u64(&errors, "", NULL, json_object_array_length(problems));
}

/* One family with a sample for each object that has a number under the key. */
static void print_numbers(const Family *family, json_object *objects, const char *key,
                          void (*print)(const Family *family, json_object *object, json_object *gpus, uint64_t value),
                          json_object *gpus) {
        metrics_begin(family);
        for (size_t i = 0; i < json_object_array_length(objects); i++) {
                json_object *object = json_object_array_get_idx(objects, i);
                uint64_t value;

                if (member_u64(object, key, &value))
                        print(family, object, gpus, value);
        }
}

static void print_gpu_number(const Family *family, json_object *gpu, json_object *gpus, uint64_t value) {
        metrics_sample_u64(family, "", LABELS("gpu", text(gpu, "address")), value);
}

static void print_usage(const Family *family, json_object *gpus, const char *key) {
        metrics_begin(family);
        for (size_t i = 0; i < json_object_array_length(gpus); i++) {
                json_object *gpu = json_object_array_get_idx(gpus, i), *usage = member(gpu, "usage");
                uint64_t value;

                if (json_object_is_type(usage, json_type_object) && member_u64(usage, key, &value))
                        metrics_sample_u64(family, "", LABELS("gpu", text(gpu, "address")), value);
        }
}

/* What drivers say of each vGPU, as they name it: those that they name by no UUID are nobody's. */
static void print_vgpu_usage(const Family *family, json_object *gpus, const char *key, double unit) {
        metrics_begin(family);
        for (size_t i = 0; i < json_object_array_length(gpus); i++) {
                json_object *usage = member(json_object_array_get_idx(gpus, i), "usage"), *rows;

                rows = json_object_is_type(usage, json_type_object) ? member(usage, "vgpus") : NULL;
                for (size_t k = 0; json_object_is_type(rows, json_type_array) && k < json_object_array_length(rows); k++) {
                        json_object *row = json_object_array_get_idx(rows, k);
                        uint64_t value;

                        if (!json_object_is_type(row, json_type_object) || !*text(row, "uuid") ||
                            !member_u64(row, key, &value))
                                continue;
                        if (unit > 1)
                                metrics_sample(family, "", LABELS("uuid", text(row, "uuid")), (double)value / unit);
                        else
                                metrics_sample_u64(family, "", LABELS("uuid", text(row, "uuid")), value);
                }
        }
}

void metrics_print_gpus(json_object *gpus) {
        static const Family info = { "mdevgpu_gpu", "info", NULL, "A GPU." };
        static const Family state = { "mdevgpu_gpu_state", "stateset", NULL, "A GPU's state." };
        static const Family framebuffer = { "mdevgpu_gpu_framebuffer_bytes", "gauge", "bytes", "The memory of a GPU." };
        static const Family used = { "mdevgpu_gpu_framebuffer_used_bytes", "gauge", "bytes",
                                     "The memory of a GPU that is in use, as its driver says." };
        static const Family pending = { "mdevgpu_gpu_pending_types", "gauge", NULL,
                                        "1 if types wait to be registered." };
        static const char *const states[] = { "probing", "ready",    "no-driver", "unsupported",
                                              "busy",    "degraded", "failed",    NULL };

        metrics_begin(&info);
        for (size_t i = 0; i < json_object_array_length(gpus); i++) {
                json_object *gpu = json_object_array_get_idx(gpus, i);

                metrics_sample_u64(&info, "_info",
                                   LABELS("gpu", text(gpu, "address"), "name", text(gpu, "name"), "vendor",
                                          text(gpu, "vendor"), "driver", text(gpu, "driver"), "driver_version",
                                          text(gpu, "driver_version"), "backend", text(gpu, "backend")),
                                   1);
        }

        metrics_begin(&state);
        for (size_t i = 0; i < json_object_array_length(gpus); i++) {
                json_object *gpu = json_object_array_get_idx(gpus, i);

                metrics_states(&state, "gpu", text(gpu, "address"), states, text(gpu, "state"));
        }

        metrics_begin(&pending);
        for (size_t i = 0; i < json_object_array_length(gpus); i++) {
                json_object *gpu = json_object_array_get_idx(gpus, i);

                metrics_sample_u64(&pending, "", LABELS("gpu", text(gpu, "address")),
                                   object_is_true(gpu, "pending_types"));
        }

        print_numbers(&framebuffer, gpus, "framebuffer_total", print_gpu_number, gpus);
        print_usage(&used, gpus, "framebuffer_used");
}

static void print_type_number(const Family *family, json_object *type, json_object *gpus, uint64_t value) {
        metrics_sample_u64(family, "", LABELS("gpu", address_of(gpus, text(type, "gpu")), "type", text(type, "id")),
                           value);
}

void metrics_print_types(json_object *types, json_object *gpus) {
        static const Family info = { "mdevgpu_type", "info", NULL, "A vGPU type of a GPU." };
        static const Family max = { "mdevgpu_type_max_instances", "gauge", NULL,
                                    "How many vGPUs of the type there can be on the GPU." };
        static const Family available = { "mdevgpu_type_available_instances", "gauge", NULL,
                                          "How many more vGPUs of the type can be made now." };
        static const Family framebuffer = { "mdevgpu_type_framebuffer_bytes", "gauge", "bytes",
                                            "The memory that each vGPU of the type has." };

        metrics_begin(&info);
        for (size_t i = 0; i < json_object_array_length(types); i++) {
                json_object *type = json_object_array_get_idx(types, i);

                metrics_sample_u64(&info, "_info",
                                   LABELS("gpu", address_of(gpus, text(type, "gpu")), "type", text(type, "id"), "name",
                                          text(type, "name"), "registration", text(type, "registration"), "source",
                                          text(type, "source")),
                                   1);
        }

        print_numbers(&max, types, "max_instances", print_type_number, gpus);
        print_numbers(&available, types, "available_instances", print_type_number, gpus);
        print_numbers(&framebuffer, types, "framebuffer", print_type_number, gpus);
}

static void print_vgpu_number(const Family *family, json_object *vgpu, json_object *gpus, uint64_t value) {
        metrics_sample_u64(family, "", LABELS("uuid", text(vgpu, "uuid")), value);
}

void metrics_print_vgpus(json_object *vgpus, json_object *gpus) {
        static const Family info = { "mdevgpu_vgpu", "info", NULL, "A vGPU." };
        static const Family state = { "mdevgpu_vgpu_state", "stateset", NULL, "A vGPU's state." };
        static const Family in_use = { "mdevgpu_vgpu_in_use", "gauge", NULL,
                                       "1 if a process holds the vGPU open, where its driver tells." };
        static const Family users = { "mdevgpu_vgpu_users", "gauge", NULL,
                                      "How many processes hold an active vGPU open." };
        static const Family framebuffer = { "mdevgpu_vgpu_framebuffer_bytes", "gauge", "bytes",
                                            "The memory that a vGPU takes, with what is reserved." };
        static const Family used = { "mdevgpu_vgpu_framebuffer_used_bytes", "gauge", "bytes",
                                     "The memory behind it that is in use." };
        static const Family busy = { "mdevgpu_vgpu_busy_seconds", "gauge", "seconds",
                                     "How long the GPU has worked for a vGPU since it was opened." };
        static const char *const states[] = { "defined",  "creating", "active",    "removing", "failed",
                                              "incoming", "saving",   "restoring", NULL };

        metrics_begin(&info);
        for (size_t i = 0; i < json_object_array_length(vgpus); i++) {
                json_object *vgpu = json_object_array_get_idx(vgpus, i);
                const char *address = address_of(gpus, text(vgpu, "gpu"));

                metrics_sample_u64(&info, "_info",
                                   LABELS("uuid", text(vgpu, "uuid"), "gpu", *address ? address : text(vgpu, "parent"),
                                          "type", text(vgpu, "type_id"), "kind", text(vgpu, "kind"), "label",
                                          text(vgpu, "label"), "managed",
                                          object_is_true(vgpu, "managed") ? "true" : "false"),
                                   1);
        }

        metrics_begin(&state);
        for (size_t i = 0; i < json_object_array_length(vgpus); i++) {
                json_object *vgpu = json_object_array_get_idx(vgpus, i);

                metrics_states(&state, "uuid", text(vgpu, "uuid"), states, text(vgpu, "state"));
        }

        metrics_begin(&in_use);
        for (size_t i = 0; i < json_object_array_length(vgpus); i++) {
                json_object *vgpu = json_object_array_get_idx(vgpus, i);
                const char *use = text(vgpu, "in_use");

                if (streq(use, "yes") || streq(use, "no"))
                        metrics_sample_u64(&in_use, "", LABELS("uuid", text(vgpu, "uuid")), streq(use, "yes"));
        }

        print_numbers(&users, vgpus, "n_users", print_vgpu_number, gpus);
        print_vgpu_usage(&framebuffer, gpus, "framebuffer", 1);
        print_vgpu_usage(&used, gpus, "framebuffer_used", 1);
        print_vgpu_usage(&busy, gpus, "busy", NSEC_PER_SEC);
}

/* The rows of a list of structs, each an array with at least n members. */
static json_object *row(json_object *rows, size_t i, size_t n) {
        json_object *found = json_object_array_get_idx(rows, i);

        return json_object_is_type(found, json_type_array) && json_object_array_length(found) >= n ? found : NULL;
}

static uint64_t cell_u64(json_object *cells, size_t i) {
        return json_object_get_uint64(json_object_array_get_idx(cells, i));
}

static const char *cell_text(json_object *cells, size_t i) {
        const char *s = json_object_get_string(json_object_array_get_idx(cells, i));

        return s ? s : "";
}

static void print_counter(json_object *statistics, const Family *family, const char *const *labels, const char *key) {
        uint64_t value;

        if (member_u64(statistics, key, &value))
                metrics_sample_u64(family, "_total", labels, value);
}

static void print_counters(json_object *statistics) {
        static const Family jobs = { "mdevgpu_jobs", "counter", NULL, "Jobs that have ended." };
        static const Family reloads = { "mdevgpu_reloads", "counter", NULL, "Reloads of the configuration." };
        static const Family errors = { "mdevgpu_device_errors", "counter", NULL,
                                       "Errors of devices that drivers have reported." };
        static const Family workers = {
                "mdevgpu_workers", "counter", NULL,
                "Worker processes that were started, that ended of themselves, that were stuck."
        };
        static const Family start = { "mdevgpu_start_time_seconds", "gauge", "seconds",
                                      "When the daemon started, since 1970." };
        uint64_t since;

        metrics_begin(&jobs);
        print_counter(statistics, &jobs, LABELS("result", "done"), "jobs_done");
        print_counter(statistics, &jobs, LABELS("result", "failed"), "jobs_failed");
        print_counter(statistics, &jobs, LABELS("result", "cancelled"), "jobs_cancelled");
        metrics_begin(&reloads);
        print_counter(statistics, &reloads, LABELS("result", "done"), "reloads_done");
        print_counter(statistics, &reloads, LABELS("result", "failed"), "reloads_failed");
        metrics_begin(&errors);
        print_counter(statistics, &errors, NULL, "device_errors");
        metrics_begin(&workers);
        print_counter(statistics, &workers, LABELS("event", "started"), "workers_started");
        print_counter(statistics, &workers, LABELS("event", "lost"), "workers_lost");
        print_counter(statistics, &workers, LABELS("event", "stuck"), "workers_stuck");
        metrics_begin(&start);
        if (member_u64(statistics, "since", &since))
                metrics_sample(&start, "", NULL, (double)since / USEC_PER_SEC);
}

/* Buckets count everything up to their bound; the daemon counts what lies between two. */
static void print_histogram(const Family *family, json_object *operation, json_object *bounds) {
        json_object *buckets = json_object_array_get_idx(operation, 4);
        const char *name = cell_text(operation, 0);
        uint64_t n = 0;

        if (!json_object_is_type(buckets, json_type_array) ||
            json_object_array_length(buckets) != json_object_array_length(bounds) + 1)
                return;

        for (size_t i = 0; i < json_object_array_length(bounds); i++) {
                char bound[64];

                n += cell_u64(buckets, i);
                (void)snprintf(bound, sizeof(bound), "%g", (double)cell_u64(bounds, i) / USEC_PER_SEC);
                if (!strpbrk(bound, ".e"))
                        (void)strcat(bound, ".0"); /* as the format writes a number of seconds */
                metrics_sample_u64(family, "_bucket", LABELS("operation", name, "le", bound), n);
        }
        n += cell_u64(buckets, json_object_array_length(bounds));
        metrics_sample_u64(family, "_bucket", LABELS("operation", name, "le", "+Inf"), n);
        metrics_sample_u64(family, "_count", LABELS("operation", name), n);
        metrics_sample(family, "_sum", LABELS("operation", name), (double)cell_u64(operation, 3) / USEC_PER_SEC);
}

static void print_operations(json_object *operations, json_object *bounds) {
        static const Family done = { "mdevgpu_operations", "counter", NULL, "Operations on vGPUs that have ended." };
        static const Family duration = { "mdevgpu_operation_duration_seconds", "histogram", "seconds",
                                         "From an operation's start to its answer." };

        metrics_begin(&done);
        for (size_t i = 0; i < json_object_array_length(operations); i++) {
                json_object *operation = row(operations, i, 5);

                if (!operation)
                        continue;
                metrics_sample_u64(&done, "_total", LABELS("operation", cell_text(operation, 0), "result", "done"),
                                   cell_u64(operation, 1));
                metrics_sample_u64(&done, "_total", LABELS("operation", cell_text(operation, 0), "result", "failed"),
                                   cell_u64(operation, 2));
        }

        if (!json_object_is_type(bounds, json_type_array))
                return;
        metrics_begin(&duration);
        for (size_t i = 0; i < json_object_array_length(operations); i++)
                if (row(operations, i, 5))
                        print_histogram(&duration, row(operations, i, 5), bounds);
}

void metrics_print_statistics(json_object *statistics) {
        static const Family errors = { "mdevgpu_operation_errors", "counter", NULL,
                                       "Operations on vGPUs that have failed, by the name of the error." };
        json_object *operations = member(statistics, "operations"), *rows = member(statistics, "errors");

        print_counters(statistics);
        if (json_object_is_type(operations, json_type_array))
                print_operations(operations, member(statistics, "latency_bounds"));
        if (!json_object_is_type(rows, json_type_array))
                return;

        metrics_begin(&errors);
        for (size_t i = 0; i < json_object_array_length(rows); i++) {
                json_object *error = row(rows, i, 3);

                if (error)
                        metrics_sample_u64(&errors, "_total",
                                           LABELS("operation", cell_text(error, 0), "error", cell_text(error, 1)),
                                           cell_u64(error, 2));
        }
}
