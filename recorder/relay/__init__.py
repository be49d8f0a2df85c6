"""The media path: a worker process forwards packets, a broker in the supervisor owns ports and sockets.

    protocol    the messages between broker and worker, read and checked
    latch       where a telephone behind a NAT sends from
    reports     what the parties report of each other's media (RTCP)
    stream      one socket of a call: receive, check, forward, tap
    worker      the process: a plain epoll loop over streams and its control socket
    link        the broker's end of a worker's control socket
    broker      supervisor side: allocates, remembers, replays to a restarted worker, shuts lost owners' taps
    client      signalling's side of the broker's socket

No key, no disk and no clock but arrival lives here. No packet crosses a Python queue.
"""
