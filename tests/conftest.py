"""Puts this folder on the import path, so that every test finds `synthetic`; and lets Ctrl-C work in scripts."""

import signal

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a background job's, which every process below would inherit
    signal.signal(signal.SIGINT, signal.default_int_handler)
