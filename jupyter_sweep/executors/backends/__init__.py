"""The Dask cluster behind an executor: started by us or reached, one module a kind of place.

Each module here gives three functions, by which `clusters` and the executor know it:

    read(word, options) -> settings     what the word after --on and a profile's options say, checked; SweepError with
                                        all that is wrong
    plan(where, slots) -> text          what would be launched, for --dry-run; nothing is started or reached
    start(where, slots) -> Backend      the cluster

They import their deployers late: a word is checked without loading Dask.
"""
