"""Benchmarks: what a call costs here and elsewhere, as ratios. Not part of the installed package.

machine     what it ran on
processes   programs compiled and pinned to a core, and the CPU time they took
load        the generator's side: one run of calls' media, and what came back
telephones  the same for signalling: whole calls
peers/      who is compared: each opens the same calls and says where to send them, or forwards them
measure     rounds of runs, medians and ratios
relay       the first benchmark: forwarding
signalling  the second one: calls through a proxy
c/          generators and the minimal relay, compiled when needed
"""
