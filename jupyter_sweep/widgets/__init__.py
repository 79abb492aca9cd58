"""What a notebook shows of a sweep: the live view, its static form, its text, and the form to fill in.

Nothing is imported here: `view` loads anywidget, `static` and `text` load nothing.
"""
