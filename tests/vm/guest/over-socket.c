/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * over-socket COMMAND COMMAND: runs both in shells, the first with a TCP socket as standard output, the second with its other end
 * as standard input. Exits with 0 if both do.
 */

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void die(const char *what) {
        perror(what);
        exit(EXIT_FAILURE);
}

static pid_t start(const char *command, int fd, int as, int other) {
        pid_t pid = fork();

        if (pid < 0)
                die("fork");
        if (pid > 0)
                return pid;

        if (dup2(fd, as) < 0)
                die("dup2");
        close(fd);
        close(other);
        execl("/bin/bash", "bash", "-c", command, (char *)NULL);
        die("bash");
        return -1;
}

int main(int argc, char **argv) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t size = sizeof(address);
        int listener, from, to, status, failed = 0;

        if (argc != 3)
                return 2;

        listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        from = socket(AF_INET, SOCK_STREAM, 0);
        if (bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(listener, 1) < 0 ||
            getsockname(listener, (struct sockaddr *)&address, &size) < 0 ||
            connect(from, (struct sockaddr *)&address, sizeof(address)) < 0)
                die("socket");
        to = accept(listener, NULL, NULL);
        if (to < 0)
                die("accept");

        (void)start(argv[1], from, STDOUT_FILENO, to);
        (void)start(argv[2], to, STDIN_FILENO, from);
        close(from);
        close(to);
        while (wait(&status) > 0)
                failed |= status;
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
