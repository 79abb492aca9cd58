"""Where trials are passed on to, by `--log`: one file for each tracker, on the small base of `base`."""
