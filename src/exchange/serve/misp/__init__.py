"""Our side of MISP's sync protocol: to a MISP each collection is one more MISP (reference misp.md sections 1 and 7).

    address    how MISP says what it wants           instance   who asks, with which right; the answer
    errors     refusals in MISP's words              body       JSON, packed or not, within bounds
    map        which address is which action

One file for each noun: servers, events, index, sightings, proposals, clusters, analyst data, search, tags.
"""
