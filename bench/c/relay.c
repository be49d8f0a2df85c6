/* The floor: the least that a relay in user space can do for a call's audio. No tap, no counters, no control.
 *
 *     relay [GATHER_US] < CALLS
 *
 * CALLS: the number of calls, then per call the UDP ports of both parties on 127.0.0.1. Answers on stdout with
 * one line per call: the port that it shows to the first party and the one for the second. Each socket is
 * connected to its party, so that the kernel checks the source; length, RTP version and payload type are checked
 * here. One epoll loop, one recv and one send per packet. With GATHER_US it sleeps so long after each round, as our
 * own relay does: what that saves is no merit of the language.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 1024, LIMIT = 4096 };

static int side_socket(int party_port, int *port)
{
    struct sockaddr_in own = {.sin_family = AF_INET}, party = {.sin_family = AF_INET};
    socklen_t length = sizeof own;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    own.sin_addr.s_addr = party.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    party.sin_port = htons((uint16_t)party_port);
    if (fd < 0 || bind(fd, (struct sockaddr *)&own, sizeof own) || getsockname(fd, (struct sockaddr *)&own, &length) ||
        connect(fd, (struct sockaddr *)&party, sizeof party)) {
        perror("relay: socket");
        exit(1);
    }
    *port = ntohs(own.sin_port);
    return fd;
}

static void watch(int epoll, int fd, int opposite)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)opposite << 32 | (uint32_t)fd};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event)) {
        perror("relay: epoll_ctl");
        exit(1);
    }
}

static void forward(int fd, int opposite, const uint8_t *allowed)
{
    static uint8_t packet[LIMIT];
    ssize_t length = recv(fd, packet, sizeof packet, 0);
    if (length >= 12 && length < LIMIT && packet[0] >> 6 == 2 && allowed[packet[1] & 127])
        send(opposite, packet, (size_t)length, 0);
}

int main(int count, char **arguments)
{
    static uint8_t allowed[128] = {[0] = 1, [8] = 1};
    static struct epoll_event events[EVENTS];
    useconds_t gather = count > 1 ? (useconds_t)atoi(arguments[1]) : 0;
    int calls, first, second, epoll = epoll_create1(0);
    if (scanf("%d", &calls) != 1)
        return 2;
    for (int call = 0; call < calls; call++) {
        int shown_first, shown_second;
        if (scanf("%d %d", &first, &second) != 2)
            return 2;
        int one = side_socket(first, &shown_first), other = side_socket(second, &shown_second);
        watch(epoll, one, other);
        watch(epoll, other, one);
        printf("%d %d\n", shown_first, shown_second);
    }
    fflush(stdout);
    for (;;) {
        int ready = epoll_wait(epoll, events, EVENTS, -1);
        for (int index = 0; index < ready; index++)
            forward((int)(uint32_t)events[index].data.u64, (int)(events[index].data.u64 >> 32), allowed);
        if (gather)
            usleep(gather);
    }
}
