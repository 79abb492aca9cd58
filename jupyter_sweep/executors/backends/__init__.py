"""The Dask cluster behind an executor: started by us or reached, one module a kind of place.

Each module here gives three functions, by which `clusters` and the executor know it:

    read(word, options) -> settings     what the word after --on and a profile's options say, checked; SweepError with
                                        all that is wrong
    plan(where, slots) -> text          what would be launched, for --dry-run; nothing is started or reached
    start(where, slots) -> Backend      the cluster

and may give three more:

    settled(word, options) -> options   the same said so that it holds in another folder: the contents of a file that
                                        the word names
    check(where)                        SweepError for what a look at the place tells, in seconds, with nothing started
    seen(where) -> Seen                 what such a look tells of its slots, versions and health, for a list of places

They import their deployers late: a word is checked without loading Dask.
"""
