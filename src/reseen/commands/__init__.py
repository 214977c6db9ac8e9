"""The verbs of the command line, one file each.

A verb is a function: its signature is its flags, its docstring its help. It prints for people, returns nothing, and
raises a ``ReseenError`` for what a user can mend.
"""
