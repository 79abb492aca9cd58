"""How people write a sweep down: the `%%sweep` line, the keywords of `run(...)`, durations and sizes."""
