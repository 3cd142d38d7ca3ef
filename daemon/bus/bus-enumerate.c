/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "bus/bus-interface.h"
#include "bus/bus-path.h"
#include "core/task.h"

/* A NULL-terminated array of paths that grows. */
typedef struct Paths {
        char **paths;
        size_t n_paths;
        size_t n_allocated;
} Paths;

static void paths_done(Paths *paths) {
        for (size_t i = 0; i < paths->n_paths; i++)
                free(paths->paths[i]);
        free(paths->paths);
}

/* Takes path over, which may be NULL when memory ran out. */
static int paths_add(Paths *paths, char *path) {
        if (!path)
                return -ENOMEM;

        if (paths->n_paths + 1 >= paths->n_allocated) {
                size_t n = MAX(paths->n_allocated * 2, 16U);
                char **grown = reallocarray(paths->paths, n, sizeof(char *));

                if (!grown) {
                        free(path);
                        return -ENOMEM;
                }
                paths->paths = grown;
                paths->n_allocated = n;
        }

        paths->paths[paths->n_paths++] = path;
        paths->paths[paths->n_paths] = NULL;
        return 0;
}

static int add_gpu(Paths *paths, const Gpu *gpu, bool with_types) {
        Type *type;
        int r;

        r = paths_add(paths, bus_path_of_gpu(gpu));
        if (r < 0 || !with_types)
                return r;

        LIST_FOREACH(type, &gpu->types, link) {
                r = paths_add(paths, bus_path_of_type(type));
                if (r < 0)
                        return r;
        }

        return 0;
}

int bus_enumerate_gpus(sd_bus *bus, const char *prefix, void *userdata, char ***ret_nodes, sd_bus_error *ret_error) {
        /* Children of the folder are its GPUs alone; a type is the child of its GPU. */
        bool with_types = !streq(prefix, GPU_PREFIX);
        _cleanup_(paths_done) Paths paths = {};
        BusServer *server = userdata;
        Gpu *gpu;
        int r;

        LIST_FOREACH(gpu, &server->manager->gpus, link) {
                if (!gpu->linked)
                        continue;

                r = add_gpu(&paths, gpu, with_types);
                if (r < 0)
                        return r;
        }

        *ret_nodes = paths.paths;
        paths = (Paths){};
        return 0;
}

int bus_enumerate_vgpus(sd_bus *bus, const char *prefix, void *userdata, char ***ret_nodes, sd_bus_error *ret_error) {
        _cleanup_(paths_done) Paths paths = {};
        BusServer *server = userdata;
        VGpu *vgpu;
        int r;

        LIST_FOREACH(vgpu, &server->manager->all_vgpus, link) {
                if (!vgpu->linked)
                        continue;

                r = paths_add(&paths, bus_path_of_vgpu(vgpu));
                if (r < 0)
                        return r;
        }

        *ret_nodes = paths.paths;
        paths = (Paths){};
        return 0;
}

int bus_enumerate_jobs(sd_bus *bus, const char *prefix, void *userdata, char ***ret_nodes, sd_bus_error *ret_error) {
        _cleanup_(paths_done) Paths paths = {};
        BusServer *server = userdata;
        Task *task;
        int r;

        LIST_FOREACH(task, &server->manager->tasks, link) {
                r = paths_add(&paths, bus_path_of_task(task));
                if (r < 0)
                        return r;
        }

        *ret_nodes = paths.paths;
        paths = (Paths){};
        return 0;
}
