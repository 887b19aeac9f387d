"""Four partners on one machine: CCC, CERT-EE and CIRCL around an `exchange` node, with intelligence of our own making.

`python -m lab` shows the whole flow; the test suite uses the parts one by one:

    partners   real TAXII servers of others (medallion, OpenTAXII), each in a virtual environment of its own
    misp       a small MISP double            feed       a MISP feed over HTTP
    samples    what the partners know         scenario   the configuration that joins them
"""
