"""`make simulate`: call histories over all paths of signalling against an oracle; docs/simulation.md.

A history happens in a world, by way of an opening and turns, and is judged:

    people      who is who, and the scheme that says so
    link        a network in virtual time that loses, doubles and reorders
    recording   what would be in a clip: a model of relay and capture, in intervals
    proxy       the SIP core and all sessions, as one node of the network
    text        SIP messages as agents read them
    dialogue    telephones and PBXs that write them
    world       one history: who speaks, what was shown, what was committed
    naming      the ways in which a message says who somebody is
    openings    how a call begins; branching: on more than one branch; uncertain: with nobody knows whom
    turns       what becomes of it; transfers: where somebody else comes in; keys: which are pressed
    oracle      what must not be committed, and what must
    history     one history from one seed; run: many of them
    swift       what makes them quick
"""
