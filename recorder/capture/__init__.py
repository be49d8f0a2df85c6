"""From the rings to sealed clips: a process with public keys only, which cannot read what it has finished.

    orders      what signalling asks for, read and checked
    codecs      what a payload type means, and whether it may be kept
    intake      from the rings to the recordings: many packets at once, those that need it one by one
    track       one clip being written; its failure is its own
    call        one recording of a call: what is held in RAM, when it is committed, how it ends
    process     rings and socket
    running     the loop: the rings are read every 100 ms, clips are written every second

A packet of a call that nobody ordered is overwritten in the ring and goes nowhere. A packet of one that was
ordered lives in RAM until it is older than the commit horizon; only then does it reach a clip, and only as
ciphertext.
"""
