"""One module a probe: each knows one part of torch or Python and wraps it for the recorder."""
