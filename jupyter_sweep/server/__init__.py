"""The Jupyter server's side: sweeps of all stores below the server's root, over REST and as events, without a kernel.

Loaded by `extension.load` when the server starts; what a first question needs is imported with that question.
"""
