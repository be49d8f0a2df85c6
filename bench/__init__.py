"""Benchmarks: what a call costs here and elsewhere, as ratios. Not part of the installed package.

machine     what it ran on
processes   programs compiled and pinned to a core, and the CPU time they took
load        the generator's side: one run of calls, and what came back
peers/      who is compared: each opens the same calls and says where to send them
measure     rounds of runs, medians and ratios
relay       the first benchmark: forwarding
c/          generator and the minimal relay, compiled when needed
"""
