/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <sys/stat.h>

#include "backend/qemu.h"
#include "util/file.h"
#include "util/text.h"

/* Far over what any of its programs has (Debian 12's have up to 30 MiB). */
#define PROGRAM_MAX (256L << 20)
#define BLOCK (1U << 20)

/* How it begins what it says to --version (softmmu/vl.c of 7.2, system/vl.c of 9.0), which lies in its program as one text. */
static const char banner[] = "QEMU emulator version ";

static bool take_version(const char *text, const char *end, char version[static QEMU_VERSION_SIZE]) {
        size_t n = 0;

        while (text + n < end && n < QEMU_VERSION_SIZE - 1 && strchr("0123456789.", text[n]) && text[n] != '\0')
                n++;
        if (n == 0 || text + n == end || !strchr(" \n", text[n]))
                return false;

        memcpy(version, text, n);
        version[n] = '\0';
        return true;
}

/* The program runs under whatever name: it is looked at, and never run. */
static void search(int fd, char version[static QEMU_VERSION_SIZE]) {
        const size_t overlap = sizeof(banner) + QEMU_VERSION_SIZE;
        _cleanup_(freep) char *block = malloc(BLOCK + overlap);
        size_t kept = 0;
        off_t at = 0;

        while (block && at < PROGRAM_MAX) {
                ssize_t n = pread(fd, block + kept, BLOCK, at);
                const char *end, *found;

                if (n <= 0)
                        return;
                at += n;
                end = block + kept + n;
                for (found = block; (found = memmem(found, (size_t)(end - found), banner, sizeof(banner) - 1));) {
                        found += sizeof(banner) - 1;
                        if (take_version(found, end, version))
                                return;
                }
                kept = MIN(overlap, (size_t)(end - block));
                memmove(block, end - kept, kept);
        }
}

void qemu_read_version(const Host *host, const User *user, char ret_version[static QEMU_VERSION_SIZE]) {
        _cleanup_(fd_closep) int fd = -EBADF;
        char path[64];
        struct stat st;

        ret_version[0] = '\0';
        if (strncmp(user->comm, "qemu", strlen("qemu")) != 0 && strncmp(user->comm, "kvm", strlen("kvm")) != 0)
                return;

        (void)snprintf(path, sizeof(path), "%i/exe", (int)user->pid);
        fd = openat(host->proc_fd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd >= 0 && fstat(fd, &st) >= 0 && S_ISREG(st.st_mode))
                search(fd, ret_version);
}
