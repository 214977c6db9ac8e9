"""What the papers measure to argue for a loss, as commands: ``reseen study NAME``.

A study is a function: its signature is its flags. It makes a list of runs, has :mod:`reseen.studies.engine` do those
that are not done yet, and writes what they found.
"""
