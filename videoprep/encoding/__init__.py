"""Encoding: units of work, claiming them, decode → encode → commit.

Not called ``encode``, because ``videoprep.encode`` is the function.
"""
